import { setTimeout as delay } from 'node:timers/promises';
import {
  Bitrix24Error,
  type Command,
  hasHandler,
  type EventHandler,
  type ListedHandlers,
  MAX_BATCH_COMMANDS,
  type CommandOutcome,
  type Params,
  type PortalClient,
  readHandlers,
  unbindCommand,
} from '@relay/bitrix24';
import { parseEventName } from '@relay/events';
import { counter, type Log } from '@relay/platform';
import {
  OFFLINE_SIGNAL,
  type BindingClaim,
  type EventBindings,
  type EventNotOffered,
  type RecordedBinding,
} from '@relay/portals';
import { diffHandlers, unbindableNow, type WantedHandlers } from './handler-comparison.js';
import { explainNotOffered } from './not-offered.js';

const binds = counter({
  name: 'relay_gateway_event_binds_total',
  help: 'Calls of event.bind, by outcome.',
  labelNames: ['outcome'],
});

/** How often to check whether another process has finished a binding that is in progress. */
const MAX_CHECKS = 4;
const CHECK_PAUSE_MS = 500;

interface EventBinderParts {
  bindings: EventBindings;
  handlerUrl: string;
  log: Log;
  client: PortalClient;
  claim: BindingClaim;
  signal: AbortSignal;
  /** What the portal should have; anything else of ours is unbound on the way. */
  wanted: WantedHandlers;
  changes: HandlerChanges;
}

/** What was done at a portal. */
export interface HandlerChanges {
  readonly bound: string[];
  readonly unbound: EventHandler[];
  readonly boundOffline: string[];
  readonly unboundOffline: string[];
}

export function noChanges(): HandlerChanges {
  return { bound: [], unbound: [], boundOffline: [], unboundOffline: [] };
}

/** Binds events at one portal, once. All its methods throw Bitrix24Error, ClaimLostError and the signal's reason. */
export class EventBinder {
  private readonly memberId: string;
  /** The recorded bindings before it. */
  private saved = new Map<string, RecordedBinding>();

  constructor(private readonly parts: EventBinderParts) {
    this.memberId = parts.claim.memberId;
  }

  /**
   * Binds these events, and unbinds what is ours and not wanted, in one batch if it fits. An event that cannot be bound
   * (without a permission, say) does not block the others. Without names, and unless `isSurplusKnown`, nothing is asked.
   */
  async bind(names: readonly string[], { isSurplusKnown = false } = {}): Promise<void> {
    this.saved = await this.parts.bindings.of(this.memberId);
    const failures: unknown[] = [];
    const unknown = await this.bindAll(names, failures, {
      isListNeeded: isSurplusKnown,
      unbindsSurplus: true,
    });
    if (unknown.length > 0) {
      const basic = await this.noteNotOffered(unknown);
      // What was wanted when this began does not have these: nothing is surplus by it.
      await this.noteNotOffered(await this.bindAll(basic, failures));
    }
    if (failures.length > 0) throw failures[0];
  }

  /** @returns the events that the portal does not have */
  private async bindAll(
    names: readonly string[],
    failures: unknown[],
    { isListNeeded = false, unbindsSurplus = false } = {},
  ): Promise<string[]> {
    const { client, signal, handlerUrl } = this.parts;
    const unknown: string[] = [];
    let open = names;
    let mustList = isListNeeded;
    for (let attempt = 1; open.length > 0 || mustList; attempt += 1) {
      mustList = false;
      const listed = await readHandlers(client, signal);
      const handlers = listed.online;
      const there = open.filter((name) => hasHandler(handlers, name, handlerUrl));
      await this.keep(there, handlers);
      const missing = open.filter((name) => !there.includes(name));
      const contested: string[] = [];
      for (const [event, outcome] of await this.change(
        missing,
        attempt === 1 && unbindsSurplus ? this.surplusOf(listed, missing) : [],
        handlers,
      )) {
        const code = codeOf(outcome);
        if (code === 'ERROR_EVENT_NOT_FOUND') unknown.push(event);
        // Another process has bound it, or is binding it: "Handler already binded", "Process of binding the handler has
        // already started".
        else if (code === 'ERROR_CORE' && attempt < MAX_CHECKS) contested.push(event);
        else failures.push(outcome?.ok === false ? outcome.error : new Error(`no answer for ${event}`));
      }
      open = contested;
      if (open.length > 0) await delay(CHECK_PAUSE_MS, undefined, { signal: this.parts.signal });
    }
    return unknown;
  }

  private surplusOf(listed: ListedHandlers, missing: readonly string[]): EventHandler[] {
    const { wanted } = this.parts;
    return unbindableNow(diffHandlers(listed, wanted).surplus.online, listed.online, wanted, missing);
  }

  /** @returns the events that were not bound */
  private async change(
    names: readonly string[],
    surplus: readonly EventHandler[],
    handlers: readonly EventHandler[],
  ): Promise<[string, CommandOutcome | undefined][]> {
    const { client, handlerUrl, signal, log, changes } = this.parts;
    const others: [string, CommandOutcome | undefined][] = [];
    const commands: [string, Command][] = [
      ...names.map((event): [string, Command] => [
        event,
        { method: 'event.bind', params: bindParams(event, handlerUrl) },
      ]),
      // No event has a name in lower case.
      ...surplus.map((handler, at): [string, Command] => [`unbind${at}`, unbindCommand(handler)]),
    ];
    for (let from = 0; from < commands.length; from += MAX_BATCH_COMMANDS) {
      const part = commands.slice(from, from + MAX_BATCH_COMMANDS);
      const outcomes = await client.batch(Object.fromEntries(part), { signal });
      const asked = names.slice(from, from + MAX_BATCH_COMMANDS);
      const bound = asked.filter((name) => outcomes[name]?.ok);
      binds.inc({ outcome: 'bound' }, bound.length);
      await this.keep(bound, handlers);
      changes.bound.push(...bound);
      if (bound.length > 0) log.info({ memberId: this.memberId, events: bound }, 'events bound');
      for (const name of asked) if (!bound.includes(name)) others.push([name, outcomes[name]]);
      await this.noteUnbound(surplus, outcomes);
    }
    return others;
  }

  /** A failure blocks nothing. */
  private async noteUnbound(
    surplus: readonly EventHandler[],
    outcomes: Record<string, CommandOutcome | undefined>,
  ): Promise<void> {
    const { bindings, handlerUrl, log, changes } = this.parts;
    const { memberId } = this;
    const answered = surplus.map((handler, at) => ({ handler, outcome: outcomes[`unbind${at}`] }));
    const gone = answered.filter(({ outcome }) => isUnbound(outcome)).map(({ handler }) => handler);
    const here = gone.filter(({ handler }) => handler === handlerUrl).map(({ event }) => event);
    await bindings.remove(memberId, here);
    changes.unbound.push(...gone);
    if (gone.length > 0) log.info({ memberId, handlers: gone }, 'handlers that nobody wants were unbound');
    for (const { handler, outcome } of answered) {
      if (!outcome || outcome.ok || isUnbound(outcome)) continue;
      log.warn(
        { event: 'bindings.surplus.left', memberId, handler, err: outcome.error },
        'a handler that nobody wants could not be unbound',
      );
    }
  }

  /** @returns the basic names, to be bound instead of suffixed ones that the portal does not know */
  private async noteNotOffered(names: readonly string[]): Promise<string[]> {
    if (names.length === 0) return [];
    const { bindings, client, handlerUrl, claim, signal } = this.parts;
    const basic = new Set<string>();
    for (const notOffered of await explainNotOffered(client, names, signal)) {
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
  private async keep(names: readonly string[], handlers: readonly EventHandler[]): Promise<void> {
    const { bindings, handlerUrl, claim, wanted } = this.parts;
    const former = handlers.filter(
      ({ event, handler }) =>
        names.includes(event) &&
        handler !== handlerUrl &&
        (wanted.ownAddresses.has(handler) || handler === this.saved.get(event)?.handler),
    );
    await this.unbind(former);
    for (const name of names) await bindings.save(this.memberId, name, handlerUrl, 'bound', { claim });
  }

  /** A stale handler costs the portal a call for each event, and us nothing: a failure blocks nothing. */
  private async unbind(former: readonly EventHandler[]): Promise<void> {
    const { client, log, signal, changes } = this.parts;
    for (let from = 0; from < former.length; from += MAX_BATCH_COMMANDS) {
      const part = former.slice(from, from + MAX_BATCH_COMMANDS);
      const what = { memberId: this.memberId, handlers: part };
      try {
        const commands = part.map((handler, at) => [`unbind${at}`, unbindCommand(handler)] as const);
        const outcomes = await client.batch(Object.fromEntries(commands), { signal });
        for (const outcome of Object.values(outcomes)) if (!outcome.ok) throw outcome.error;
        changes.unbound.push(...part);
        log.info(what, 'handlers at a previous address were unbound');
      } catch (error) {
        signal.throwIfAborted();
        log.warn(
          { event: 'bindings.former_handlers.left', ...what, err: error },
          'handlers at a previous address could not be unbound',
        );
      }
    }
  }
}

/** Seconds between two signals of the offline queue, whose records rest for longer (`apps/offline-puller`). */
const SIGNAL_TIMEOUT_SECONDS = 10;

function bindParams(event: string, handler: string): Params {
  if (event !== OFFLINE_SIGNAL) return { event, handler };
  return { event, handler, options: { minTimeout: SIGNAL_TIMEOUT_SECONDS } };
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
  { bindings, handlerUrl, log, client, signal, changes }: Omit<EventBinderParts, 'claim' | 'wanted'>,
  names: readonly string[],
): Promise<void> {
  const { memberId } = client;
  for (let from = 0; from < names.length; from += MAX_BATCH_COMMANDS) {
    const part = names.slice(from, from + MAX_BATCH_COMMANDS);
    const commands = part.map((event) => [event, unbindCommand({ event, handler: handlerUrl })] as const);
    const outcomes = await client.batch(Object.fromEntries(commands), { signal });
    const gone = part.filter((name) => isUnbound(outcomes[name]));
    await bindings.remove(memberId, gone);
    changes.unbound.push(...gone.map((event) => ({ event, handler: handlerUrl })));
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
