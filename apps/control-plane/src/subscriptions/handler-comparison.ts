import { Inject, Injectable } from '@nestjs/common';
import {
  type EventHandler,
  hasHandler,
  type ListedHandlers,
  type OfflineHandler,
  type Priority,
  readHandlers,
  readOfflineAccess,
} from '@relay/bitrix24';
import { parseEventName } from '@relay/events';
import {
  DriftChecks,
  EventBindings,
  OFFLINE_CONNECTOR,
  OfflineBindings,
  PortalClients,
  Subscriptions,
  type DriftCounts,
} from '@relay/portals';

/** Injection token of the address that the handlers are bound to. */
export const HANDLER_URL = Symbol('HandlerUrl');

/** Our own events: without them nobody would notice that a portal uninstalled, or dropped our handlers. */
const OWN_EVENTS = ['ONAPPUNINSTALL', 'ONAPPUPDATE', 'ONAPPTEST'];

/** The gateway binds it for a moment of some installs (`InstallEvent`); nobody minds it later. */
const INSTALL_EVENT = 'ONAPPINSTALL';

/** A plan that changes takes the handlers from one to the other (`reconcileOfflineHandlers`). */
const OWN_CONNECTORS: ReadonlySet<string> = new Set(['', OFFLINE_CONNECTOR]);

/** A portal that answers with a million rows is not asked for as many: the next comparison finds the others. */
const MAX_SURPLUS = 200;

/** What every portal is to send. */
export async function wantedNames(subscriptions: Subscriptions): Promise<string[]> {
  return [...OWN_EVENTS, ...(await subscriptions.wanted())];
}

/** The handlers that a portal should have, and the addresses that are ours. */
export interface WantedHandlers {
  /** Events to be bound to `address`. */
  readonly online: ReadonlySet<string>;
  readonly offline: ReadonlySet<string>;
  /** With which the offline ones are bound. */
  readonly connector: string;
  readonly address: string;
  /** Every address that this installation ever bound, with the present one. */
  readonly ownAddresses: ReadonlySet<string>;
}

/** How a portal's handlers differ from the wanted ones. */
interface HandlerDiff {
  readonly missing: { readonly online: readonly string[]; readonly offline: readonly string[] };
  /** Ours, and not wanted; `MAX_SURPLUS` of each kind at most. */
  readonly surplus: { readonly online: readonly EventHandler[]; readonly offline: readonly OfflineHandler[] };
  /** Handlers of the application at other addresses, and offline ones of other connectors: not ours. */
  readonly foreign: number;
  readonly unreadable: number;
}

/** Duplicates, which different users can bind, count once. */
export function diffHandlers(listed: ListedHandlers, wanted: WantedHandlers): HandlerDiff {
  const { address, ownAddresses } = wanted;
  const here = new Set<string>();
  const surplus = new Map<string, EventHandler>();
  let foreign = 0;
  for (const handler of listed.online) {
    const isWanted = handler.handler === address && wanted.online.has(handler.event);
    if (isWanted) here.add(handler.event);
    else if (handler.handler === address && handler.event === INSTALL_EVENT) continue;
    else if (!ownAddresses.has(handler.handler)) foreign += 1;
    else if (surplus.size < MAX_SURPLUS) surplus.set(`${handler.event} ${handler.handler}`, handler);
  }
  const queued = new Set<string>();
  const surplusOffline = new Map<string, OfflineHandler>();
  for (const handler of listed.offline) {
    const { event, connector } = handler;
    if (!OWN_CONNECTORS.has(connector)) foreign += 1;
    else if (wanted.offline.has(event)) {
      // With the other one of ours it is on the way from one to the other, which has its own order.
      if (connector === wanted.connector) queued.add(event);
    } else if (surplusOffline.size < MAX_SURPLUS) surplusOffline.set(`${event} ${connector}`, handler);
  }
  return {
    missing: {
      online: [...wanted.online].filter((event) => !here.has(event)).toSorted(),
      offline: [...wanted.offline].filter((event) => !queued.has(event)).toSorted(),
    },
    surplus: { online: [...surplus.values()], offline: [...surplusOffline.values()] },
    foreign,
    unreadable: listed.unreadable,
  };
}

/**
 * What can be unbound at once: not what is still needed until something else is bound, which is the same event at a former
 * address, or a basic event in place of a suffixed one.
 * @param unbound events that are still to be bound
 */
export function unbindableNow(
  surplus: readonly EventHandler[],
  listed: readonly EventHandler[],
  { online, address }: Pick<WantedHandlers, 'online' | 'address'>,
  unbound: readonly string[],
): EventHandler[] {
  return surplus.filter(
    ({ event }) =>
      (!online.has(event) || hasHandler(listed, event, address)) &&
      !unbound.some((name) => name.startsWith(`${event}_`)),
  );
}

/**
 * The names that are bound for the wanted ones: the basic event for a suffixed one that the portal does not know, and none for
 * what the application may not have.
 */
function offered(
  wanted: readonly string[],
  stateOf: (name: string) => 'bound' | 'unknown-event' | 'out-of-scope' | undefined,
): Set<string> {
  const names = wanted.flatMap((name) => {
    if (stateOf(name) !== 'unknown-event') return [name];
    const basic = parseEventName(name).name;
    return basic === name ? [] : [basic];
  });
  return new Set(names.filter((name) => (stateOf(name) ?? 'bound') === 'bound'));
}

export interface Comparison {
  readonly wanted: WantedHandlers;
  readonly diff: HandlerDiff;
  readonly counts: DriftCounts;
  /** What was recorded as bound before the portal was asked, and it does not have. */
  readonly lost: {
    readonly online: readonly { name: string; boundAt: Date }[];
    readonly offline: readonly { name: string; boundAt: Date }[];
  };
}

/** Compares the handlers of portals with what is wanted. Changes nothing. */
@Injectable()
export class HandlerComparison {
  constructor(
    private readonly subscriptions: Subscriptions,
    private readonly bindings: EventBindings,
    private readonly offline: OfflineBindings,
    private readonly checks: DriftChecks,
    private readonly clients: PortalClients,
    @Inject(HANDLER_URL) private readonly handlerUrl: string,
  ) {}

  /** One request; another one where offline handlers seem to be missing. @throws Bitrix24Error */
  async compare(
    memberId: string,
    { priority, signal }: { priority?: Priority; signal?: AbortSignal } = {},
  ): Promise<Comparison> {
    const [recorded, recordedOffline, wanted] = await Promise.all([
      this.bindings.of(memberId),
      this.offline.of(memberId),
      this.wantedAt(memberId),
    ]);
    const client = this.clients.for(memberId, { ...(priority && { priority }) });
    const found = diffHandlers(await readHandlers(client, signal), wanted);
    // To any other pair the portal shows no offline handlers.
    const isOfflineHidden =
      found.missing.offline.length > 0 && !(await readOfflineAccess(client, { signal })).isAdministrator;
    const missing = isOfflineHidden ? { ...found.missing, offline: [] } : found.missing;
    const diff = { ...found, missing };
    return {
      wanted,
      diff,
      counts: {
        missing: missing.online.length + missing.offline.length,
        surplus: diff.surplus.online.length + diff.surplus.offline.length,
        foreign: diff.foreign,
      },
      lost: {
        online: missing.online.flatMap((name) => {
          const row = recorded.get(name);
          return row?.state === 'bound' && row.handler === this.handlerUrl ? [{ name, ...row }] : [];
        }),
        offline: missing.offline.flatMap((name) => {
          const row = recordedOffline.get(name);
          return row?.state === 'bound' ? [{ name, ...row }] : [];
        }),
      },
    };
  }

  /** What this portal should have, as far as it is known to offer it. */
  async wantedAt(memberId: string): Promise<WantedHandlers> {
    const names = await wantedNames(this.subscriptions);
    const [online, recorded, offline, recordedOffline, { connector }, addresses] = await Promise.all([
      this.bindings.wanted(names, memberId),
      this.bindings.of(memberId),
      this.offline.wanted(names, memberId),
      this.offline.of(memberId),
      this.offline.plan(memberId, names),
      this.checks.addresses(),
    ]);
    const stateOf = (name: string) => {
      const row = recorded.get(name);
      return row?.handler === this.handlerUrl ? row.state : undefined;
    };
    return {
      online: offered(online, stateOf),
      offline: offered(offline, (name) => recordedOffline.get(name)?.state),
      connector,
      address: this.handlerUrl,
      ownAddresses: addresses.add(this.handlerUrl),
    };
  }
}
