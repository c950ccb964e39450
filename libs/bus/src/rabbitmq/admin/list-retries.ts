import { z } from 'zod';
import { SCAN_LIMIT } from '../../admin/dead-letter-store.js';
import { RetryCollector, type RetryFilter, type RetryList } from '../../admin/waiting-retries.js';
import { readRetryMetadata } from '../retry-metadata.js';
import { retryName } from '../topology.js';
import type { AdminConnection } from './admin-connection.js';
import { awaitReturn, browse } from './browse.js';

/** A tier's TTL removes messages during a scan: then fewer arrive than were counted. */
const IDLE_MS = 2_000;
const RETURN_MS = 1_000;

/** As `failureHeaders` and `deferralHeaders` write them; anybody may have put a message into the queue. */
const headers = z.object({
  'b24-code': z.string().optional().catch(undefined),
  'b24-last-failed-at': z.number().nonnegative().optional().catch(undefined),
});

/**
 * What waits in a consumer's retry tiers. The messages stay where they are, unacked for the time of the scan. The caller
 * holds the operator lock.
 * @throws BusUnavailableError
 */
export async function listRetries(
  broker: AdminConnection,
  consumer: string,
  retryDelaysMs: readonly number[],
  filter: RetryFilter,
): Promise<RetryList> {
  const found = new RetryCollector(consumer, filter);
  let isComplete = true;
  for (const delayMs of retryDelaysMs) {
    const tier = retryName(consumer, delayMs);
    const there = await broker.request((channel) => channel.checkQueue(tier));
    if (there.kind !== 'value' || there.value.messageCount === 0) continue;
    const channel = await broker.openChannel();
    let ready = 0;
    try {
      const scan = await browse(
        channel,
        tier,
        SCAN_LIMIT,
        ({ content, properties }) => {
          const read = headers.parse(properties.headers ?? {});
          const { attempts, firstFailedAt } = readRetryMetadata(properties.headers);
          const lastFailedAt = read['b24-last-failed-at'];
          const dueAt = lastFailedAt === undefined ? undefined : lastFailedAt + delayMs;
          found.add({ content, code: read['b24-code'], attempts, firstFailedAt, dueAt });
        },
        IDLE_MS,
      );
      ready = scan.found;
      isComplete &&= !scan.more;
    } finally {
      await channel.close().catch(() => undefined);
      await awaitReturn(broker, tier, ready, RETURN_MS);
    }
  }
  return found.result(isComplete);
}
