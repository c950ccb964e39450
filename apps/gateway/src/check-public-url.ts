import type { Log } from '@relay/platform';
import { z } from 'zod';

const TIMEOUT_MS = 10_000;
const healthy = z.object({ status: z.literal('live') });

/**
 * Requests its own public address, and warns if that fails: no event would arrive, and nothing else would
 * say why. Only a warning, since in some networks a machine cannot reach its own public address.
 */
export async function checkPublicUrl(publicUrl: string, log: Log): Promise<void> {
  if (!new URL(publicUrl).hostname.includes('.')) {
    log.warn(
      { event: 'gateway.public_url.no_dot', publicUrl },
      'the host of PUBLIC_URL has no dot: Bitrix24 takes no handler there, and no online event will be bound',
    );
  }
  const reason = await findProblem(`${publicUrl}/health/live`);
  if (reason === undefined) log.info({ publicUrl }, 'the gateway is reached under PUBLIC_URL');
  else {
    log.warn(
      { event: 'gateway.public_url.unreachable', publicUrl, reason },
      'nothing answers under PUBLIC_URL as seen from here: Bitrix24 sends the events there, so it must lead to PORT',
    );
  }
}

async function findProblem(url: string): Promise<string | undefined> {
  try {
    const answer = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (answer.status !== 200) return `answered ${answer.status}`;
    return healthy.safeParse(await answer.json()).success ? undefined : 'something else answers there';
  } catch (error) {
    const cause: unknown = error instanceof Error ? (error.cause ?? error) : error;
    return cause instanceof Error ? cause.message : String(cause);
  }
}
