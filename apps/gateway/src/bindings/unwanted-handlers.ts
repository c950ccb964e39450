import { Bitrix24Error, type CommandOutcome, MAX_BATCH_COMMANDS } from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import type { EventBindings, PortalClients } from '@relay/portals';
import { Backoff } from './backoff.js';

/**
 * Handlers for events that no consumer wants any more, because one was retired or subscribes to something else. Each
 * costs the portal a call for every such event, and us nothing: whatever fails here holds nothing up, and is tried again.
 */
export class UnwantedHandlers {
  private readonly backoff = new Backoff();

  constructor(
    private readonly bindings: EventBindings,
    private readonly clients: PortalClients,
    private readonly handlerUrl: string,
    private readonly log: Log,
  ) {}

  /** One portal after the other: nobody waits for it. @param isStopped asked before each */
  async unbind(wanted: readonly string[], isStopped: () => boolean): Promise<void> {
    for (const [memberId, names] of await this.bindings.unwanted(wanted, this.handlerUrl)) {
      if (isStopped()) return;
      if (!this.backoff.isDue(memberId)) continue;
      try {
        await this.unbindAt(memberId, names);
        this.backoff.clear(memberId);
      } catch (error) {
        this.backoff.fail(memberId);
        this.log.warn({ memberId, err: error }, 'events could not be unbound, will be tried again');
      }
    }
  }

  private async unbindAt(memberId: string, names: readonly string[]): Promise<void> {
    for (let from = 0; from < names.length; from += MAX_BATCH_COMMANDS) {
      const part = names.slice(from, from + MAX_BATCH_COMMANDS);
      const outcomes = await this.clients
        .for(memberId)
        .batch(Object.fromEntries(part.map((name) => [name, this.command(name)])));
      await this.bindings.remove(
        memberId,
        part.filter((name) => isUnbound(outcomes[name])),
      );
      for (const outcome of Object.values(outcomes)) {
        if (!outcome.ok && !isUnbound(outcome)) throw outcome.error;
      }
    }
    this.log.info({ memberId, events: names }, 'events unbound');
  }

  private command(name: string) {
    return { method: 'event.unbind', params: { event: name, handler: this.handlerUrl } };
  }
}

/** Nothing was bound, so nothing is left to unbind (`api-reference/events/event-unbind.md`). */
const gone: ReadonlySet<string> = new Set(['ERROR_EVENT_NOT_FOUND', 'NOT_FOUND']);

function isUnbound(outcome: CommandOutcome | undefined): boolean {
  if (!outcome) return false;
  return outcome.ok || (outcome.error instanceof Bitrix24Error && gone.has(outcome.error.code));
}
