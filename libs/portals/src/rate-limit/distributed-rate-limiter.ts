import {
  canBeSent,
  splitWaits,
  type MethodUsage,
  type Priority,
  type RateLimiter,
  type RequestToAdmit,
  sleep,
  type Throttled,
  unlessAborted,
} from '@relay/bitrix24';
import { counter, histogram, type Log } from '@relay/platform';
import pLimit from 'p-limit';
import { DatabaseBucket, type Ticket } from './database-bucket.js';
import { type PortalOperatingTimes, DatabaseOperatingTimes } from './database-operating-times.js';
import type { DataSource } from 'typeorm';
import { WeakValues } from '../cache/weak-values.js';

const waitSeconds = histogram({
  name: 'relay_rest_wait_seconds',
  help: 'How long requests waited until the limits of their portal let them go, by work: live, bulk',
  labelNames: ['work'],
  buckets: [0.01, 0.05, 0.25, 1, 5, 15, 60, 300],
});
/** The names that the metric has had from its first version. */
const METRIC_LABELS: Record<Priority, string> = { interactive: 'live', background: 'bulk' };
const rejectedTotal = counter({
  name: 'relay_rest_refused_total',
  help: 'Requests rejected with QUERY_LIMIT_EXCEEDED: others call the portal from our address',
});

/** After a longer wait the ticket is checked again before sending: there may have been a rejection meanwhile. */
const TRUSTED_WAIT_MS = 500;
/** Upper bound of one sleep between checks: the portal may have been given a higher limit. */
const MAX_SLEEP_MS = 10_000;

/**
 * Rate limiter of one portal whose bucket and operating times all processes share. Each interactive request holds a ticket in
 * the bucket; background requests wait in a FIFO queue of this process, and only its head asks the bucket.
 */
export class DistributedRateLimiter implements RateLimiter {
  private readonly backgroundQueue = pLimit(1);

  constructor(
    private readonly bucket: Pick<DatabaseBucket, 'take' | 'ticketDelayMs' | 'release' | 'throttleDown'>,
    private readonly times: PortalOperatingTimes,
  ) {}

  /** The bucket comes last: a request that waits after it would arrive at Bitrix24 later than its ticket allows for. */
  async admit(request: RequestToAdmit, signal?: AbortSignal): Promise<Throttled> {
    const waited = waitSeconds.startTimer({ work: METRIC_LABELS[request.priority] });
    const throttled = await this.reserveCalls(request, signal);
    if (!canBeSent(request, throttled)) return throttled;
    await this.awaitTicket(await this.takeTicket(request.priority, signal), signal);
    waited();
    return throttled;
  }

  async rejected(): Promise<void> {
    rejectedTotal.inc();
    await this.bucket.throttleDown();
  }

  async observe(usage: readonly MethodUsage[]): Promise<void> {
    await this.times.observe(usage);
  }

  private async reserveCalls(request: RequestToAdmit, signal?: AbortSignal): Promise<Throttled> {
    const methods = [...new Set([...request.methods, ...(request.optional ?? [])])];
    const throttled = new Map<string, number>();
    for (let waitedMs = 0; canBeSent(request, throttled);) {
      signal?.throwIfAborted();
      const waits = await this.times.reserve(methods.filter((method) => !throttled.has(method)));
      if (waits.size === 0) break;
      const { tooLong, pauseMs } = splitWaits(waits, waitedMs);
      for (const [method, waitMs] of tooLong) throttled.set(method, waitMs);
      if (tooLong.length > 0) continue;
      await sleep(pauseMs, signal);
      waitedMs += pauseMs;
    }
    return throttled;
  }

  private async takeTicket(priority: Priority, signal?: AbortSignal): Promise<GrantedTicket> {
    if (priority === 'interactive') return await this.acquireTicket(priority, signal);
    const asking = this.backgroundQueue(() => this.acquireTicket(priority, signal));
    return await unlessAborted(asking, signal).catch((error: unknown) => {
      void asking.then(
        ({ ticket }) => this.bucket.release(ticket),
        () => undefined,
      );
      throw error;
    });
  }

  private async acquireTicket(priority: Priority, signal?: AbortSignal): Promise<GrantedTicket> {
    for (;;) {
      signal?.throwIfAborted();
      const ticket = await this.bucket.take(priority);
      if (ticket.granted) return ticket;
      await sleep(wakeAfter(ticket.waitMs), signal);
    }
  }

  private async awaitTicket(
    { ticket, waitMs: firstWaitMs }: GrantedTicket,
    signal?: AbortSignal,
  ): Promise<void> {
    try {
      signal?.throwIfAborted();
      for (let waitMs = firstWaitMs; waitMs > 0;) {
        await sleep(wakeAfter(waitMs), signal);
        waitMs = waitMs > TRUSTED_WAIT_MS ? await this.bucket.ticketDelayMs(ticket) : 0;
      }
    } catch (error) {
      // Not awaited: an unavailable store may be the reason for the error.
      void this.bucket.release(ticket);
      throw error;
    }
  }
}

type GrantedTicket = Extract<Ticket, { granted: true }>;

/** At least one millisecond: a delay of a fraction of it must not cause a busy loop. */
function wakeAfter(ms: number): number {
  return Math.min(Math.max(ms, 1), MAX_SLEEP_MS);
}

/** Rate limiters of all portals, distributed over all processes through the database. */
export class PortalRateLimiter {
  private readonly rateLimiters = new WeakValues<RateLimiter>();
  private readonly operatingTimes: DatabaseOperatingTimes;

  constructor(
    private readonly dataSource: DataSource,
    private readonly log: Log,
  ) {
    this.operatingTimes = new DatabaseOperatingTimes(dataSource, log);
  }

  /**
   * The portal's rate limiter, which holds the process's queue of background requests: the same one for everybody as long as
   * somebody keeps it.
   */
  of(memberId: string): RateLimiter {
    return this.rateLimiters.getOrCreate(memberId, () => {
      const bucket = new DatabaseBucket(this.dataSource, memberId, this.log);
      return new DistributedRateLimiter(bucket, this.operatingTimes.of(memberId));
    });
  }
}
