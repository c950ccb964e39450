import { formatEventName } from '@relay/events';
import { redactText } from '@relay/platform';
import { dateOf, eventIn } from './dead-letter-store.js';

/** An event that waits for its next attempt. */
export interface WaitingRetry {
  consumer: string;
  /** Null if it waits without a failure and no reason was recorded. */
  code: string | null;
  attempts: number;
  firstFailedAt: Date | null;
  /** Null if the bus does not tell: RabbitMQ does not, for an event that waits without a failure. */
  dueAt: Date | null;
  /** From the event; null for an unreadable message. */
  memberId: string | null;
  event: string | null;
  entity: string | null;
  receivedAt: Date | null;
}

export interface RetryFilter {
  memberId?: string;
  limit: number;
}

export interface RetryList {
  /** At most `limit`. */
  retries: WaitingRetry[];
  matching: number;
  /** False: more events wait than one scan examines. */
  complete: boolean;
}

/** A message as a bus stores it; times are Unix milliseconds. */
interface RetryRecord {
  content: Buffer;
  code: string | undefined;
  attempts: number;
  firstFailedAt: number | undefined;
  dueAt: number | undefined;
}

/** Collects the matches of a scan, and keeps those that are due next. */
export class RetryCollector {
  private kept: WaitingRetry[] = [];
  private matching = 0;

  constructor(
    private readonly consumer: string,
    private readonly filter: RetryFilter,
  ) {}

  add({ content, code, ...times }: RetryRecord): void {
    const event = eventIn(content);
    const { memberId, limit } = this.filter;
    if (memberId !== undefined && event?.memberId !== memberId) return;
    this.matching += 1;
    this.kept.push({
      consumer: this.consumer,
      code: code === undefined ? null : redactText(code),
      attempts: times.attempts,
      firstFailedAt: dateOf(times.firstFailedAt),
      dueAt: dateOf(times.dueAt),
      memberId: event?.memberId ?? null,
      event: event ? formatEventName(event.name, event.entityTypeId) : null,
      entity: event?.entity ?? null,
      receivedAt: dateOf(event?.receivedAt),
    });
    // Now and then, so that a long queue neither fills the memory nor is sorted for each message.
    if (this.kept.length >= 2 * limit + 1_000) this.kept = sortByDueTime(this.kept).slice(0, limit);
  }

  result(complete: boolean): RetryList {
    return {
      retries: sortByDueTime(this.kept).slice(0, this.filter.limit),
      matching: this.matching,
      complete,
    };
  }
}

/** Those without a known time come last. */
export function sortByDueTime(retries: readonly WaitingRetry[]): WaitingRetry[] {
  const timeOf = ({ dueAt }: WaitingRetry): number => dueAt?.getTime() ?? Number.MAX_VALUE;
  return retries.toSorted((one, other) => timeOf(one) - timeOf(other));
}
