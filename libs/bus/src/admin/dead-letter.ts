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

/** A letter without a recorded time counts as older than any time. */
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

/** Undefined for a message that is not ours, or of another version. */
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
