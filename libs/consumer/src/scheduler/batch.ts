import type { FormTree } from '@relay/bus';

/**
 * What a handler receives: pending work of one portal. No other batch of this portal runs in this process meanwhile.
 */
export interface PortalBatch {
  memberId: string;
  entries: PortalEntry[];
}

export interface PortalEntry {
  /** Equal for all events of one entity, such as `CRMCONTACT:82`; the event's own id when it names no entity. */
  entity: string;
  entityId: string | null;
  /** 0 when the event has none. */
  entityTypeId: number;
  /** Base names of the events merged into this entry, each once, in order of arrival. */
  names: string[];
  /** Unix time in milliseconds at which the gateway received the first of them. */
  firstSeenAt: number;
  /** Bitrix24's `ts` of the last of them, in seconds. */
  lastTs: number;
  /** The event's data; only for handlers with `merge: false`, where each entry is one event. */
  data?: FormTree;
}

/** An entry that the handler could not process, and why. Entries not listed are done. */
export interface FailedEntry {
  entity: string;
  error: unknown;
}
