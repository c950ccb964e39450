import type { BaseEventName, BoundEventName, EventData, FormTree } from '@relay/bus';

/**
 * What a handler receives: pending work of one portal. No other batch of this portal runs in this process meanwhile.
 *
 * `PortalBatch<'ONCRMDEALADD' | 'ONCRMDEALUPDATE'>`, with the names of the handler's decorator, gives `names` and
 * `data` the types that the documentation of Bitrix24 promises. They are not enforced: a portal may send anything.
 */
export interface PortalBatch<N extends BoundEventName = BoundEventName> {
  memberId: string;
  entries: PortalEntry<N>[];
  /**
   * Whether at least so many more entries of the portal (default 1) wait for this handler now, so that some may be
   * postponed ({@link PostponedEntry}). More than one never do where an entry of this batch was postponed before: a handler
   * that asks for them postpones no entry twice. Absent in a batch that is made by hand, as in a spec.
   */
  hasMore?: (atLeast?: number) => boolean;
}

/** Whether no names were given, so that events may be any. */
type IsAny<N extends BoundEventName> = BoundEventName extends N ? true : false;

export interface PortalEntry<N extends BoundEventName = BoundEventName> {
  /** Equal for all events of one entity, such as `CRMCONTACT:82`; the event's own id when it names no entity. */
  entity: string;
  /** As text: it may have sixteen digits, or be a code. */
  entityId: string | null;
  /** 0 when the event has none. */
  entityTypeId: number;
  /** Base names of the events merged into this entry, each once, in order of arrival. */
  names: (IsAny<N> extends true ? string : BaseEventName<N>)[];
  /** Unix time in milliseconds at which the gateway received the first of them. */
  firstSeenAt: number;
  /** Bitrix24's `ts` of the last of them, in seconds. */
  lastTs: number;
  /**
   * The data of the event. Where events are merged, those of the latest event that carried more than the id of its
   * thing; absent if none did. An object that a retry of the entry gets, too: do not change it.
   */
  data?: IsAny<N> extends true ? FormTree : EventData<N>;
  /** Bitrix24's `eventId` of the event that `data` are of: open-line and connector events have one. */
  eventId?: string;
}

/** An entry that the handler could not process, and why. Entries not listed are done. */
export interface FailedEntry {
  entity: string;
  error: unknown;
}

/**
 * An entry that the handler has changed nothing for, because what is left does not fill a request, and more is to come. It
 * uses no attempt, is first in the handler's next batch of the portal, and is merged with what has come since. Each
 * entry may be postponed once, and once more when it had to wait for the portal since.
 */
export interface PostponedEntry {
  entity: string;
  isPostponed: true;
}
