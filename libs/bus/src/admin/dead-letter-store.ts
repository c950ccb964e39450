import { decodeMessage, formatEventName, type PortalEvent } from '@relay/events';
import { redactText, redactValue } from '@relay/platform';

/** A dead letter as either bus stores it. */
export interface DeadLetterRecord {
  /** Stable across scans. */
  id: string;
  consumer: string;
  code: string;
  message: string;
  attempts: number;
  /** Unix time in milliseconds; undefined if not recorded. */
  firstFailedAt: number | undefined;
  lastFailedAt: number | undefined;
  content: Buffer;
}

/** One row of an operator's list. */
export interface DeadLetter {
  id: string;
  consumer: string;
  code: string;
  message: string;
  attempts: number;
  firstFailedAt: Date | null;
  lastFailedAt: Date | null;
  /** From the event; null for an unreadable message. */
  memberId: string | null;
  event: string | null;
  entity: string | null;
  receivedAt: Date | null;
}

/** What lists and counts need of a letter. */
export interface DeadLetterSummary {
  id: string;
  consumer: string;
  /** As operators see it. */
  code: string;
  /** As it is stored. */
  message: string;
  attempts: number;
  /** Unix time in milliseconds. */
  firstFailedAt: number | undefined;
  lastFailedAt: number | undefined;
  /** From the event; null for an unreadable message. */
  memberId: string | null;
  event: string | null;
  entity: string | null;
  receivedAt: number | undefined;
}

export interface DeadLetterDetail extends DeadLetter {
  /** The event as it arrived, without secrets; plain text for an unreadable message. */
  content: unknown;
}

export interface DeadLetterFilter {
  id?: string;
  memberId?: string;
  code?: string;
  /** Compared with the time of the last failure. */
  since?: Date;
  until?: Date;
}

/** One consumer's dead letters on either bus. The caller holds the operator lock, unless it reads and they stay `inPlace`. */
export interface DeadLetterStore {
  /** Undefined: a letter that is read is held meanwhile, so that everybody else sees too few. */
  readonly inPlace: LettersInPlace | undefined;
  /** About how many letters are read to find one; 0: no other. @throws NoSuchConsumerError */
  countToRead(consumer: string): Promise<number>;
  /**
   * Passes the dead letters to `see`, the oldest first, at most {@link SCAN_LIMIT}; all stay unchanged.
   * @param rest called after each thousand or so; false ends the scan
   * @throws NoSuchConsumerError
   */
  scan(
    consumer: string,
    see: (letter: DeadLetterRecord) => void,
    rest?: () => Promise<boolean>,
  ): Promise<ScanResult>;
  /** Letters that a running scan holds, so that the bus does not count them. */
  unacknowledged(consumer: string): number;
  /**
   * Passes the dead letters from a place on, until `see` returns false: then no more letters are read than the bus needs for it.
   * @throws NoSuchConsumerError
   */
  read(
    consumer: string,
    from: DeadLetterPlace,
    see: (letter: DeadLetterRecord) => boolean,
  ): Promise<ScanResult>;
  /** Deletes the selected ones of those that a scan passes. @throws NoSuchConsumerError */
  drop(consumer: string, selects: DeadLetterSelector): Promise<ScanResult & { dropped: number }>;
  /** Starts to read the dead letters that are there at this moment, each once. @throws NoSuchConsumerError */
  openReader(consumer: string, selects: DeadLetterSelector): Promise<DeadLetterReader>;
}

/** Letters get their ids before they are committed: one whose id is so far behind the last has been committed long ago. */
export const LATE_LETTERS = 1_000;

/** Letters that never change, and stay where they are while they are read: those that are known need not be read again. */
export interface LettersInPlace {
  /**
   * In the order of a scan. @param known the last one that is known: those after it, and the {@link LATE_LETTERS} up to it at
   * most; undefined: all. @throws NoSuchConsumerError
   */
  listIds(consumer: string, known: string | undefined, limit: number): Promise<string[]>;
  /** Passes those of them that are still there to `see`. @param rest as of a scan. @returns false: it was stopped */
  readIds(
    consumer: string,
    ids: readonly string[],
    see: (letter: DeadLetterRecord) => void,
    rest: () => Promise<boolean>,
  ): Promise<boolean>;
}

/** Where to look. A store may pass letters that are elsewhere: the filter is the caller's. */
export interface DeadLetterPlace extends Pick<DeadLetterFilter, 'id' | 'memberId' | 'since' | 'until'> {
  /** The id of the letter before; if it is no longer there, the oldest one is the first. */
  after?: string | undefined;
}

export type DeadLetterSelector = (letter: DeadLetterRecord) => boolean;

export interface ScanResult {
  /** There are more dead letters than one scan examines, or it was stopped before the last one. */
  more: boolean;
}

/** Reads forward through the dead letters and replays the selected ones; all others keep their positions. */
export interface DeadLetterReader {
  /** False: more dead letters that do not match lie ahead than one reader can pass. */
  readonly complete: boolean;
  /** Dead letters that this reader holds, so that the bus does not count them as waiting. */
  readonly unacknowledged: number;
  /** Its connection was lost: it finds nothing more. */
  readonly isLost: boolean;
  /**
   * Looks for the next match until the deadline (of `performance.now()`); what was found stays until it is replayed.
   * `reopen`: matches are left, and only another reader can take them.
   * @throws BusUnavailableError
   */
  find(deadline: number): Promise<'found' | 'end' | 'not yet' | 'reopen'>;
  /**
   * Returns the match that was found to its consumer with fresh retry metadata: it is stored there before it is
   * deleted here. @returns its id; undefined if it was no longer there: somebody else has taken it.
   * @throws BusUnavailableError
   */
  replay(): Promise<string | undefined>;
  /** Resolves when everything that was not replayed is back in its position. */
  close(): Promise<void>;
}

/** Bounds the time of a scan and the number of unacknowledged messages on the broker. */
export const SCAN_LIMIT = 50_000;

/** The bus has no consumer of this name. */
export class NoSuchConsumerError extends Error {
  override readonly name = 'NoSuchConsumerError';
  readonly code = 'NO_SUCH_CONSUMER';
  constructor(consumer: string) {
    super(`The bus knows no consumer ${consumer}`);
  }
}

const MAX_SHOWN_TEXT = 4_000;

export function summarize(stored: DeadLetterRecord): DeadLetterSummary {
  const { id, consumer, message, attempts, firstFailedAt, lastFailedAt } = stored;
  const event = eventIn(stored.content);
  return {
    id,
    consumer,
    code: redactText(stored.code),
    message,
    attempts,
    firstFailedAt,
    lastFailedAt,
    memberId: event?.memberId ?? null,
    event: event ? formatEventName(event.name, event.entityTypeId) : null,
    entity: event?.entity ?? null,
    receivedAt: event?.receivedAt,
  };
}

export function toDeadLetter(summary: DeadLetterSummary): DeadLetter {
  const { id, consumer, code, message, attempts, memberId, event, entity } = summary;
  return {
    id,
    consumer,
    code,
    message: redactText(message),
    attempts,
    firstFailedAt: dateOf(summary.firstFailedAt),
    lastFailedAt: dateOf(summary.lastFailedAt),
    memberId,
    event,
    entity,
    receivedAt: dateOf(summary.receivedAt),
  };
}

/** @param content the message */
export function toDeadLetterDetail(summary: DeadLetterSummary, content: Buffer): DeadLetterDetail {
  const event = eventIn(content);
  const shown = event ? redactValue(event) : redactText(content.toString('utf8').slice(0, MAX_SHOWN_TEXT));
  return { ...toDeadLetter(summary), content: shown };
}

/** A letter without a recorded time counts as older than any time. */
export function matchesFilter(
  letter: DeadLetterSummary,
  { id, memberId, code, since, until }: DeadLetterFilter,
): boolean {
  const diedAt = letter.lastFailedAt ?? 0;
  return (
    (id === undefined || letter.id === id) &&
    (since === undefined || diedAt >= since.getTime()) &&
    (until === undefined || diedAt <= until.getTime()) &&
    (code === undefined || letter.code === code) &&
    (memberId === undefined || letter.memberId === memberId)
  );
}

/** Undefined for a message that is not ours, or of another version. */
export function eventIn(content: Buffer): PortalEvent | undefined {
  try {
    return decodeMessage(content);
  } catch {
    return undefined;
  }
}

/** @param milliseconds Unix time. @returns null if none is recorded, or no number */
export function dateOf(milliseconds: number | undefined): Date | null {
  return milliseconds === undefined || !Number.isFinite(milliseconds) ? null : new Date(milliseconds);
}
