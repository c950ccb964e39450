import type { FormTree } from '@relay/events';

/** What a handler gets: pending work of one portal. No other batch of this portal runs in this process meanwhile. */
export interface PortalBatch {
  memberId: string;
  entries: PortalEntry[];
}

export interface PortalEntry {
  /** Equal for every event of one thing, as in `CRMCONTACT:82`; the event's own id when it names no thing. */
  entity: string;
  entityId: string | null;
  /** 0 when the event tells none. */
  entityTypeId: number;
  /** Base names of the events that this entry stands for, each once, in their order of arrival. */
  names: string[];
  /** Milliseconds: when the gateway received the first of them. */
  firstSeenAt: number;
  /** Seconds: Bitrix24's `ts` of the last of them. */
  lastTs: number;
  /** The event's data; only for handlers with `merge: false`, whose entries stand for one event each. */
  data?: FormTree;
}

/** An entry of the batch that the handler could not handle, and why. Those not named are done. */
export interface FailedEntry {
  entity: string;
  error: unknown;
}
