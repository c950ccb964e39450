import { decodeMessage, formatEventName, type PortalEvent } from '@relay/events';
import { redactText, redactValue } from '@relay/platform';

/** What a message that was given up looks like on either bus. */
export interface DeadLetterRecord {
  /** The same at every look. */
  id: string;
  consumer: string;
  code: string;
  message: string;
  attempts: number;
  /** Milliseconds; undefined where nobody wrote it down. */
  firstFailedAt: number | undefined;
  lastFailedAt: number | undefined;
  content: Buffer;
}

/** What an operator reads in a list. */
export interface DeadLetter {
  id: string;
  consumer: string;
  code: string;
  message: string;
  attempts: number;
  firstFailedAt: Date | null;
  lastFailedAt: Date | null;
  /** Of the event; null in a message that cannot be read. */
  memberId: string | null;
  event: string | null;
  entity: string | null;
  receivedAt: Date | null;
}

export interface DeadLetterDetail extends DeadLetter {
  /** The event as it came, without secrets; a text where the message cannot be read. */
  content: unknown;
}

export interface DeadLetterFilter {
  id?: string;
  memberId?: string;
  code?: string;
  /** By the time of its last failure. */
  since?: Date;
  until?: Date;
}

const MAX_SHOWN_TEXT = 4_000;

export function toDeadLetter(stored: DeadLetterRecord): DeadLetter {
  const event = eventIn(stored.content);
  return {
    id: stored.id,
    consumer: stored.consumer,
    code: redactText(stored.code),
    message: redactText(stored.message),
    attempts: stored.attempts,
    firstFailedAt: dateOf(stored.firstFailedAt),
    lastFailedAt: dateOf(stored.lastFailedAt),
    memberId: event?.memberId ?? null,
    event: event ? formatEventName(event.name, event.entityTypeId) : null,
    entity: event?.entity ?? null,
    receivedAt: dateOf(event?.receivedAt),
  };
}

export function toDeadLetterDetail(stored: DeadLetterRecord): DeadLetterDetail {
  const event = eventIn(stored.content);
  const content = event
    ? redactValue(event)
    : redactText(stored.content.toString('utf8').slice(0, MAX_SHOWN_TEXT));
  return { ...toDeadLetter(stored), content };
}

/** A letter whose time nobody wrote down is older than any time that one can name. */
export function matchesFilter(
  letter: DeadLetter,
  { id, memberId, code, since, until }: DeadLetterFilter,
): boolean {
  const diedAt = letter.lastFailedAt?.getTime() ?? 0;
  return (
    (id === undefined || letter.id === id) &&
    (memberId === undefined || letter.memberId === memberId) &&
    (code === undefined || letter.code === code) &&
    (since === undefined || diedAt >= since.getTime()) &&
    (until === undefined || diedAt <= until.getTime())
  );
}

/** Undefined for what is no message of ours, or of another version. */
export function eventIn(content: Buffer): PortalEvent | undefined {
  try {
    return decodeMessage(content);
  } catch {
    return undefined;
  }
}

function dateOf(milliseconds: number | undefined): Date | null {
  return milliseconds === undefined || !Number.isFinite(milliseconds) ? null : new Date(milliseconds);
}
