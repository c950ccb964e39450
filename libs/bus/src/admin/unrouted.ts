import { formatEventName, parseEventName } from '@relay/events';
import type { UnroutedEvents, UnroutedFilter } from './bus-admin.js';
import { eventIn } from './dead-letter-store.js';

/** Counts events by the name that a consumer would subscribe to; contents are not kept. */
export class UnroutedCounts {
  private readonly byName = new Map<string, { events: number; portals: Set<string>; lastAt: number }>();

  add(content: Buffer): void {
    const event = eventIn(content);
    if (!event) return;
    const name = formatEventName(event.name, event.entityTypeId);
    const known = this.byName.get(name) ?? { events: 0, portals: new Set<string>(), lastAt: 0 };
    known.events += 1;
    known.portals.add(event.memberId);
    known.lastAt = Math.max(known.lastAt, event.receivedAt);
    this.byName.set(name, known);
  }

  result(): UnroutedEvents[] {
    return [...this.byName]
      .map(([name, { events, portals, lastAt }]) => ({
        name,
        events,
        portals: portals.size,
        lastAt: new Date(lastAt),
      }))
      .toSorted((one, other) => other.events - one.events || one.name.localeCompare(other.name));
  }
}

/** The known fields of an unrouted event; undefined for one that this version cannot read. */
export interface UnroutedEvent {
  name: string;
  entityTypeId: number;
  memberId: string | undefined;
  /** Unix time in milliseconds. */
  receivedAt: number | undefined;
}

/**
 * Whether a subscription to `name` includes the event: a base name includes every type, a suffixed one only its own.
 */
export function isSubscribedTo(name: string, event: UnroutedEvent): boolean {
  const wanted = parseEventName(name);
  return wanted.name === event.name && [0, event.entityTypeId].includes(wanted.entityTypeId);
}

export function matchesUnroutedFilter(
  event: UnroutedEvent,
  { memberId, since, until }: UnroutedFilter,
): boolean {
  const receivedAt = event.receivedAt ?? 0;
  return (
    (memberId === undefined || event.memberId === memberId) &&
    (since === undefined || receivedAt >= since.getTime()) &&
    (until === undefined || receivedAt <= until.getTime())
  );
}
