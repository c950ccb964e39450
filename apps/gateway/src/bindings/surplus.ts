import { Bitrix24Error, MAX_BATCH_COMMANDS, type PortalClient } from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import type { EventBindings } from '@relay/portals';

/** Nothing was bound, so nothing is left to unbind (`api-reference/events/event-unbind.md`). */
const GONE = new Set(['ERROR_EVENT_NOT_FOUND', 'NOT_FOUND']);

/**
 * Takes from the portal the handlers of events that its consumers have chosen others for. One that stays costs the portal a
 * call for each event, and us nothing: a failure holds nothing up, and the next sweep tries it again.
 */
export async function unbindSurplus(
  { memberId, client }: { memberId: string; client: PortalClient },
  surplus: readonly { name: string; handler: string }[],
  bindings: EventBindings,
  log: Log,
): Promise<void> {
  const names = surplus.map(({ name }) => name);
  try {
    for (let from = 0; from < surplus.length; from += MAX_BATCH_COMMANDS) {
      const part = surplus.slice(from, from + MAX_BATCH_COMMANDS);
      const outcomes = await client.batch(
        Object.fromEntries(
          part.map(({ name, handler }) => [
            name,
            { method: 'event.unbind', params: { event: name, handler } },
          ]),
        ),
      );
      for (const { name } of part) {
        const outcome = outcomes[name];
        const isGone =
          outcome?.ok === false && outcome.error instanceof Bitrix24Error && GONE.has(outcome.error.code);
        if (outcome?.ok || isGone) await bindings.remove(memberId, name);
        else throw outcome?.error ?? new Error(`no answer for ${name}`);
      }
    }
    log.info({ memberId, events: names }, 'events that nobody wants of this portal unbound');
  } catch (error) {
    log.warn({ memberId, events: names, err: error }, 'events that nobody wants could not be unbound');
  }
}
