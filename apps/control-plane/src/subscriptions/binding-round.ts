import { setTimeout as delay } from 'node:timers/promises';
import { Bitrix24Error, MAX_BATCH_COMMANDS, type CommandOutcome, type PortalClient } from '@relay/bitrix24';
import { parseEventName } from '@relay/events';
import { boundAt, has, unbindCommand, type Handler } from '@relay/installs';
import { counter, type Log } from '@relay/platform';
import type { BindingClaim, BindingState, EventBindings, EventNotOffered } from '@relay/portals';
import { whyNotOffered } from './not-offered.js';

const binds = counter({
  name: 'relay_gateway_event_binds_total',
  help: 'Calls of event.bind, by outcome.',
  labelNames: ['outcome'],
});

/** How often to check whether another process has finished a binding that is in progress. */
const MAX_LOOKS = 4;
const LOOK_PAUSE_MS = 500;

export interface BindingRoundParts {
  bindings: EventBindings;
  handlerUrl: string;
  log: Log;
  client: PortalClient;
  claim: BindingClaim;
  signal: AbortSignal;
}

/** Binds events at one portal, once. All its methods throw Bitrix24Error, ClaimLostError and the signal's reason. */
export class BindingRound {
  private readonly memberId: string;
  /** The recorded bindings before it. */
  private saved = new Map<string, { handler: string; state: BindingState }>();

  constructor(private readonly parts: BindingRoundParts) {
    this.memberId = parts.claim.memberId;
  }

  /** An event that cannot be bound (without a permission, say) does not block the others. */
  async bind(names: readonly string[]): Promise<void> {
    this.saved = await this.parts.bindings.of(this.memberId);
    const failures: unknown[] = [];
    const unknown = await this.bindAll(names, failures);
    if (unknown.length > 0) {
      const basic = await this.noteNotOffered(unknown);
      await this.noteNotOffered(await this.bindAll(basic, failures));
    }
    if (failures.length > 0) throw failures[0];
  }

  /** @returns the events that the portal does not have */
  private async bindAll(names: readonly string[], failures: unknown[]): Promise<string[]> {
    const unknown: string[] = [];
    let open = names;
    for (let look = 1; open.length > 0; look += 1) {
      const handlers = await boundAt(this.parts.client, this.parts.signal);
      const there = open.filter((name) => has(handlers, name, this.parts.handlerUrl));
      await this.keep(there, handlers);
      const contested: string[] = [];
      for (const [event, outcome] of await this.bindMissing(
        open.filter((name) => !there.includes(name)),
        handlers,
      )) {
        const code = codeOf(outcome);
        if (code === 'ERROR_EVENT_NOT_FOUND') unknown.push(event);
        // Another process has bound it, or is binding it: "Handler already binded", "Process of binding the handler has
        // already started".
        else if (code === 'ERROR_CORE' && look < MAX_LOOKS) contested.push(event);
        else failures.push(outcome?.ok === false ? outcome.error : new Error(`no answer for ${event}`));
      }
      open = contested;
      if (open.length > 0) await delay(LOOK_PAUSE_MS, undefined, { signal: this.parts.signal });
    }
    return unknown;
  }

  /** @returns the events that were not bound */
  private async bindMissing(
    names: readonly string[],
    handlers: Handler[],
  ): Promise<[string, CommandOutcome | undefined][]> {
    const { client, handlerUrl, signal, log } = this.parts;
    const others: [string, CommandOutcome | undefined][] = [];
    for (let from = 0; from < names.length; from += MAX_BATCH_COMMANDS) {
      const part = names.slice(from, from + MAX_BATCH_COMMANDS);
      const commands = part.map(
        (event) => [event, { method: 'event.bind', params: { event, handler: handlerUrl } }] as const,
      );
      const outcomes = await client.batch(Object.fromEntries(commands), { signal });
      const bound = part.filter((name) => outcomes[name]?.ok);
      binds.inc({ outcome: 'bound' }, bound.length);
      await this.keep(bound, handlers);
      if (bound.length > 0) log.info({ memberId: this.memberId, events: bound }, 'events bound');
      for (const name of part) if (!bound.includes(name)) others.push([name, outcomes[name]]);
    }
    return others;
  }

  /** @returns the basic names, to be bound instead of suffixed ones that the portal does not know */
  private async noteNotOffered(names: readonly string[]): Promise<string[]> {
    if (names.length === 0) return [];
    const { bindings, client, handlerUrl, claim, signal } = this.parts;
    const basic = new Set<string>();
    for (const notOffered of await whyNotOffered(client, names, signal)) {
      const { event, state, permission } = notOffered;
      binds.inc({ outcome: state });
      await bindings.save(this.memberId, event, handlerUrl, state, {
        claim,
        permission: permission ?? undefined,
      });
      const { name } = parseEventName(event);
      if (state === 'unknown-event' && name !== event) basic.add(name);
      else if (this.saved.get(event)?.state !== state) this.say(notOffered);
    }
    return [...basic];
  }

  private say({ event, state, permission }: EventNotOffered): void {
    const { log } = this.parts;
    const fields = { memberId: this.memberId, eventName: event };
    if (state === 'unknown-event') {
      log.warn({ event: 'bindings.event.unknown', ...fields }, 'this portal does not know the event');
    } else {
      log.warn(
        { event: 'bindings.permission.missing', ...fields, permission },
        'the application lacks the permission for an event',
      );
    }
  }

  /**
   * Records bound events. Handlers under a former `PUBLIC_URL` are unbound before the new address is recorded: after a
   * crash in between, the record still has the old one, and everything is repeated.
   */
  private async keep(names: readonly string[], handlers: Handler[]): Promise<void> {
    const { bindings, handlerUrl, claim } = this.parts;
    const former = names
      .map((event) => ({ event, handler: this.saved.get(event)?.handler ?? '' }))
      .filter(({ event, handler }) => handler !== handlerUrl && has(handlers, event, handler));
    for (let from = 0; from < former.length; from += MAX_BATCH_COMMANDS) {
      await this.unbind(former.slice(from, from + MAX_BATCH_COMMANDS));
    }
    for (const name of names) await bindings.save(this.memberId, name, handlerUrl, 'bound', { claim });
  }

  /** A stale handler costs the portal a call for each event, and us nothing: a failure blocks nothing. */
  private async unbind(former: Handler[]): Promise<void> {
    const { client, log, signal } = this.parts;
    const what = { memberId: this.memberId, handlers: former };
    try {
      const commands = former.map((handler) => [handler.event, unbindCommand(handler)] as const);
      const outcomes = await client.batch(Object.fromEntries(commands), { signal });
      for (const outcome of Object.values(outcomes)) if (!outcome.ok) throw outcome.error;
      log.info(what, 'handlers at a former address unbound');
    } catch (error) {
      signal.throwIfAborted();
      log.warn(
        { event: 'bindings.former_handlers.left', ...what, err: error },
        'handlers at a former address could not be unbound',
      );
    }
  }
}

function codeOf(outcome: CommandOutcome | undefined): string | undefined {
  if (outcome?.ok !== false) return undefined;
  return outcome.error instanceof Bitrix24Error ? outcome.error.code : undefined;
}

/** Nothing was bound, so nothing is left to unbind (`api-reference/events/event-unbind.md`). */
const GONE: ReadonlySet<string> = new Set(['ERROR_EVENT_NOT_FOUND', 'NOT_FOUND']);

/**
 * Unbinds handlers for events that no consumer needs any more, because one was retired or changed its subscriptions.
 * @throws Bitrix24Error, the signal's reason
 */
export async function unbindStaleHandlers(
  { bindings, handlerUrl, log, client, signal }: Omit<BindingRoundParts, 'claim'>,
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
