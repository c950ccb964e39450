import { createHash } from 'node:crypto';
import { type OfflineRecord, type PortalClient, type RestResponse } from '@relay/bitrix24';
import type { EventPublisher } from '@relay/consumer';
import { EventError, openOfflineEvent, type PortalEvent } from '@relay/events';
import { counter, type Log } from '@relay/platform';
import { OFFLINE_SIGNAL } from '@relay/portals';
import pLimit from 'p-limit';
import { MIN_RECORD_AGE_MS } from './schedule.js';
import type { QueueState, StoredRecord, PollStateStore } from './poll-state-store.js';

const records = counter({
  name: 'relay_offline_records_total',
  help: 'Records of offline queues: published, or dropped because they are no events.',
  labelNames: ['outcome'],
});

for (const outcome of ['published', 'dropped']) records.inc({ outcome }, 0);

const PUBLISH_CONCURRENCY = 100;
const PUBLISH_DEADLINE_MS = 10_000;
/** A portal whose answers say more has no clock at all; its records are taken by ours. */
const MAX_SKEW_MS = 24 * 3_600_000;
/** Less is latency of the request, not a wrong clock. */
const MIN_SKEW_MS = 5_000;

/** Requests of a poll for `MAX_OFFLINE_RECORDS` each. Then others have their turn: a portal can make records as fast as it likes. */
export const MAX_CHUNKS = 2;

export interface SessionParts {
  client: PortalClient;
  state: QueueState;
  signal: AbortSignal;
  store: PollStateStore;
  publisher: EventPublisher;
  log: Log;
}

/** Records that are marked as errors are hidden from a usual read, and are read for themselves. */
export interface Part {
  isMarked: boolean;
}

/** What a poll of one portal has learned and done, whatever the plan: its clock, what was read and what was published. */
export class PullSession {
  readonly memberId: string;
  count = 0;
  /** When the things of published records changed, by our clock. */
  readonly changedAtMs: number[] = [];
  isStuck = false;
  /** Of the queue that is read now. */
  connector = '';
  private clockSkewMs: number;
  /** What was read in this poll. */
  private readonly read = new Set<string>();

  constructor(readonly parts: SessionParts) {
    this.memberId = parts.client.memberId;
    this.clockSkewMs = believableSkew(parts.state.clockSkewMs);
  }

  get queue() {
    return { signal: this.parts.signal, connector: this.connector };
  }

  /**
   * False when the portal repeats what it was told to delete. Read on, it would be published for ever.
   * @param unreadable ids of records of which nothing else is known
   */
  isNew(given: readonly OfflineRecord[], unreadable: readonly number[] = []): boolean {
    const keys = [
      ...given.map(({ id, messageId, timestampMs }) => `${id} ${messageId} ${timestampMs}`),
      ...unreadable.map((id) => `${id}`),
    ];
    const isNew = keys.some((key) => !this.read.has(key));
    for (const key of keys) this.read.add(key);
    if (!isNew) this.noteStuck();
    return isNew;
  }

  noteStuck(): void {
    if (this.isStuck) return;
    this.isStuck = true;
    this.parts.log.warn(
      { event: 'offline.clear.ineffective', memberId: this.memberId },
      'the portal keeps records of its offline queue that it was told to delete; the queue is read as rarely as an idle one',
    );
  }

  hashRead(): string | null {
    if (this.read.size === 0) return null;
    return createHash('sha256')
      .update([...this.read].toSorted().join('\n'))
      .digest('hex');
  }

  noteUnreadable(count: number): void {
    if (count === 0) return;
    records.inc({ outcome: 'dropped' }, count);
    this.parts.log.warn(
      { event: 'offline.record.unreadable', memberId: this.memberId, count },
      'records of the offline queue are not as documented, and are deleted',
    );
  }

  async publishRecords(read: readonly OfflineRecord[]): Promise<void> {
    await this.publish(this.eventsOf(read).map(({ event }) => event));
  }

  /** @throws BusUnavailableError when one of them is not confirmed: all are published again then */
  async publish(events: readonly PortalEvent[]): Promise<void> {
    const { publisher, signal } = this.parts;
    await publishAll(publisher, events, signal);
    this.count += events.length;
    for (const { ts } of events) this.changedAtMs.push(ts * 1_000 - this.clockSkewMs);
    records.inc({ outcome: 'published' }, events.length);
  }

  /** Without the records that can be no event, whoever reads them. */
  eventsOf(read: readonly OfflineRecord[]): StoredRecord[] {
    const receivedAt = Date.now();
    let dropped = 0;
    const events = read.flatMap((record): StoredRecord[] => {
      const { messageId } = record;
      try {
        const event = openOfflineEvent(this.memberId, record, receivedAt);
        if (isRecorded(event.name)) return [{ messageId, event }];
        dropped += 1;
        return [];
      } catch (error) {
        if (!(error instanceof EventError)) throw error;
        dropped += 1;
        return [];
      }
    });
    if (dropped > 0) {
      records.inc({ outcome: 'dropped' }, dropped);
      this.parts.log.warn(
        { event: 'offline.record.dropped', memberId: this.memberId, count: dropped },
        'records of the offline queue have no name of an event that is recorded, or more data than an event can have, and are dropped',
      );
    }
    return events;
  }

  /** In mode `both` records that are fresh are left for a while; by the portal's clock. */
  oldEnough(): { untilMs?: number } {
    if (this.parts.state.mode !== 'both') return {};
    return { untilMs: Date.now() + this.clockSkewMs - MIN_RECORD_AGE_MS };
  }

  /** @returns whether the clock of the portal is another than was known, so that records may have been left by mistake */
  async learnSkew(time: RestResponse['time'], sentAtMs: number): Promise<boolean> {
    if (time?.start === undefined || this.parts.state.mode !== 'both') return false;
    const measuredMs = time.start * 1_000 - (sentAtMs + Date.now()) / 2;
    const skewMs = Math.abs(measuredMs) < MIN_SKEW_MS ? 0 : believableSkew(measuredMs);
    if (Math.abs(skewMs - this.clockSkewMs) < MIN_SKEW_MS) return false;
    this.clockSkewMs = skewMs;
    await this.parts.store.saveClockSkew(this.memberId, skewMs);
    return true;
  }
}

/**
 * Publishes side by side, each with confirm.
 * @throws BusUnavailableError when one of them is not confirmed, the signal's reason
 */
export async function publishAll(
  publisher: EventPublisher,
  events: readonly PortalEvent[],
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const limit = pLimit(PUBLISH_CONCURRENCY);
  const failures: unknown[] = [];
  await Promise.all(
    events.map((event) =>
      limit(async () => {
        // A bus that is down would cost each of them its deadline.
        if (failures.length > 0 || signal.aborted) return;
        await publisher.publish(event, PUBLISH_DEADLINE_MS).catch((error: unknown) => failures.push(error));
      }),
    ),
  );
  if (failures.length > 0) throw failures[0];
  signal.throwIfAborted();
}

/** No portal records events about the application itself; whoever sends one as a record wants something of consumers. */
function isRecorded(name: string): boolean {
  return name !== OFFLINE_SIGNAL && !name.startsWith('ONAPP');
}

function believableSkew(skewMs: number): number {
  return Math.abs(skewMs) <= MAX_SKEW_MS ? skewMs : 0;
}
