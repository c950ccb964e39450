import { Bitrix24Error, type CommandOutcome, MAX_BATCH_COMMANDS, type PortalClient } from '@relay/bitrix24';
import { unbindCommand } from '@relay/installs';
import type { Log } from '@relay/platform';
import type { EventBindings } from '@relay/portals';

/** Nothing was bound, so nothing is left to unbind (`api-reference/events/event-unbind.md`). */
const GONE: ReadonlySet<string> = new Set(['ERROR_EVENT_NOT_FOUND', 'NOT_FOUND']);

interface Portal {
  bindings: EventBindings;
  handlerUrl: string;
  log: Log;
  client: PortalClient;
  signal: AbortSignal;
}

/**
 * Unbinds handlers for events that no consumer needs any more, because one was retired or changed its subscriptions.
 * @throws Bitrix24Error, the signal's reason
 */
export async function unbindStaleHandlers(
  { bindings, handlerUrl, log, client, signal }: Portal,
  names: readonly string[],
): Promise<void> {
  const { memberId } = client;
  for (let from = 0; from < names.length; from += MAX_BATCH_COMMANDS) {
    const part = names.slice(from, from + MAX_BATCH_COMMANDS);
    const commands = part.map((event) => [event, unbindCommand({ event, handler: handlerUrl })] as const);
    const outcomes = await client.batch(Object.fromEntries(commands), { signal });
    await bindings.remove(
      memberId,
      part.filter((name) => isUnbound(outcomes[name])),
    );
    for (const outcome of Object.values(outcomes)) {
      if (!outcome.ok && !isUnbound(outcome)) throw outcome.error;
    }
  }
  log.info({ memberId, events: names }, 'events unbound');
}

function isUnbound(outcome: CommandOutcome | undefined): boolean {
  if (!outcome) return false;
  return outcome.ok || (outcome.error instanceof Bitrix24Error && GONE.has(outcome.error.code));
}
