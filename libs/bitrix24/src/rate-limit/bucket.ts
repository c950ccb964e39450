import type { Priority } from './rate-limiter.js';

/**
 * Leaky bucket of one portal's rate limit: pure functions, without a clock or a store (`limits.md`).
 *
 * Bitrix24 adds 1 to a counter for each HTTP request from our address, subtracts Y once a second and rejects above X.
 * Here each request takes a ticket with a sequence number, and tickets leak at the rate Y. A request may be sent when
 * at most X − 2Y tickets up to its own (the burst allowance) have not leaked: one Y because Bitrix24 leaks in steps of
 * a second, one because it counts at arrival, up to a second after sending. Its counter therefore stays at X or below.
 */
export interface RateLimit {
  /** Y, requests a second. */
  readonly rate: number;
  /** X, requests. */
  readonly burst: number;
}

/** All plans except Enterprise. */
export const DEFAULT_LIMIT: RateLimit = { rate: 2, burst: 50 };
export const ENTERPRISE_LIMIT: RateLimit = { rate: 5, burst: 250 };

/** State that all processes that call one portal share. All times are of one clock, in milliseconds. */
export interface Bucket {
  /** Tickets issued so far, including those of waiting requests. A ticket is identified by its number, from 1. */
  readonly tickets: number;
  /** Tickets that have leaked at `leakedAtMs`. Negative after a rejection showed the bucket fuller than its tickets. */
  readonly leaked: number;
  readonly leakedAtMs: number;
  /** Multiplier of the rate at `leakedAtMs`: below 1 after a rejection, because another client uses our address. */
  readonly rateMultiplier: number;
  /** The last ticket that could be sent when Bitrix24 last rejected a request; 0 if it never has. */
  readonly rejectedTicket: number;
  /** Once this many tickets have leaked, the next background request gets a ticket on the same terms as an interactive one. */
  readonly nextBackgroundAt: number;
}

export type Ticket =
  | { readonly granted: true; readonly ticket: number; readonly waitMs: number }
  | { readonly granted: false; readonly retryAfterMs: number };

export const BUCKET_RULES = {
  /** Part of the burst allowance that background work leaves free, so that a burst of interactive work does not wait. */
  backgroundReserve: 0.2,
  /** Under continuous interactive load, one ticket in this many goes to background work. */
  backgroundEvery: 8,
  /** Multiplicative decrease of `rateMultiplier` on a rejection. */
  decreaseFactor: 0.7,
  minMultiplier: 0.05,
  /** Additive increase of `rateMultiplier` per second: from a half to 1 takes one minute, from the minimum two. */
  raisePerSecond: 1 / 120,
};

export function emptyBucket(nowMs: number): Bucket {
  return {
    tickets: 0,
    leaked: 0,
    leakedAtMs: nowMs,
    rateMultiplier: 1,
    rejectedTicket: 0,
    nextBackgroundAt: 0,
  };
}

/** Maximum unleaked tickets up to and including the own one. At least 1, also for a limit too small for the formula. */
export function burstAllowance({ rate, burst }: RateLimit): number {
  return Math.max(1, burst - 2 * rate);
}

export function backgroundAllowance(limit: RateLimit): number {
  return Math.max(1, burstAllowance(limit) * (1 - BUCKET_RULES.backgroundReserve));
}

/** The bucket at a later time. A clock that was set back changes nothing. */
export function leakBucket(bucket: Bucket, limit: RateLimit, nowMs: number): Bucket {
  const elapsed = Math.max(0, nowMs - bucket.leakedAtMs) / 1_000;
  const raising = Math.min(elapsed, (1 - bucket.rateMultiplier) / BUCKET_RULES.raisePerSecond);
  const fullRateSeconds =
    bucket.rateMultiplier * raising +
    (BUCKET_RULES.raisePerSecond * raising * raising) / 2 +
    (elapsed - raising);
  return {
    ...bucket,
    leaked: Math.min(bucket.tickets, bucket.leaked + limit.rate * fullRateSeconds),
    leakedAtMs: nowMs,
    rateMultiplier: Math.min(1, bucket.rateMultiplier + BUCKET_RULES.raisePerSecond * elapsed),
  };
}

/** Interactive work always gets a ticket; background work only below its own allowance, or when `nextBackgroundAt` is reached. */
export function takeTicket(
  before: Bucket,
  limit: RateLimit,
  priority: Priority,
  nowMs: number,
): { bucket: Bucket; taken: Ticket } {
  const bucket = leakBucket(before, limit, nowMs);
  const isBackground = priority === 'background';
  const granted =
    !isBackground ||
    bucket.tickets + 1 - bucket.leaked <= backgroundAllowance(limit) ||
    bucket.leaked >= bucket.nextBackgroundAt;
  if (!granted) return { bucket: before, taken: rejectTicket(bucket, limit) };
  const ticket = bucket.tickets + 1;
  return {
    bucket: {
      ...bucket,
      tickets: ticket,
      nextBackgroundAt: isBackground ? bucket.leaked + BUCKET_RULES.backgroundEvery : bucket.nextBackgroundAt,
    },
    taken: grantTicket(bucket, limit, ticket),
  };
}

/** The ticket with its delay; `bucket` must have leaked until now. */
function grantTicket(bucket: Bucket, limit: RateLimit, ticket: number): Ticket {
  return { granted: true, ticket, waitMs: ticketDelayMs(bucket, limit, ticket) };
}

/** No ticket for background work: the delay until there would be room, or `nextBackgroundAt` is reached, without other requests. */
function rejectTicket(bucket: Bucket, limit: RateLimit): Ticket {
  const room = untilLeaked(bucket, limit, bucket.tickets + 1 - backgroundAllowance(limit));
  return {
    granted: false,
    retryAfterMs: Math.min(room, untilLeaked(bucket, limit, bucket.nextBackgroundAt)),
  };
}

/** Whole milliseconds from `leakedAtMs` until the request with this ticket may be sent. */
export function ticketDelayMs(bucket: Bucket, limit: RateLimit, ticket: number): number {
  return untilLeaked(bucket, limit, ticket - burstAllowance(limit));
}

/** The request of this ticket will not be sent. Only the last ticket can be reused. */
export function releaseTicket(bucket: Bucket, ticket: number): Bucket {
  if (bucket.tickets !== ticket) return bucket;
  return { ...bucket, tickets: ticket - 1, leaked: Math.min(bucket.leaked, ticket - 1) };
}

/**
 * Bitrix24 has rejected a request: its counter is at X, whatever this bucket says, because another client calls from
 * our address. Waiting requests keep their order and wait until X has leaked down to the burst allowance, about three
 * seconds. A rejection before any later request was sent belongs to a request already in flight and is ignored.
 */
export function throttleDown(before: Bucket, limit: RateLimit, nowMs: number): Bucket {
  const bucket = leakBucket(before, limit, nowMs);
  const reached = bucket.leaked + burstAllowance(limit);
  if (reached < bucket.rejectedTicket + 1) return before;
  const rejectedTicket = Math.min(bucket.tickets, reached);
  const leaked = rejectedTicket - limit.burst;
  return {
    ...bucket,
    leaked,
    nextBackgroundAt: bucket.nextBackgroundAt + leaked - bucket.leaked,
    rateMultiplier: Math.max(BUCKET_RULES.minMultiplier, bucket.rateMultiplier * BUCKET_RULES.decreaseFactor),
    rejectedTicket,
  };
}

/** Inverse of `leakBucket`: milliseconds until `target` tickets have leaked. */
function untilLeaked({ leaked, rateMultiplier }: Bucket, { rate }: RateLimit, target: number): number {
  const fullRateSeconds = (target - leaked) / rate;
  if (fullRateSeconds <= 0) return 0;
  const raising = (1 - rateMultiplier) / BUCKET_RULES.raisePerSecond;
  const whileRaising = rateMultiplier * raising + (BUCKET_RULES.raisePerSecond * raising * raising) / 2;
  const seconds =
    fullRateSeconds >= whileRaising
      ? raising + (fullRateSeconds - whileRaising)
      : (Math.sqrt(rateMultiplier * rateMultiplier + 2 * BUCKET_RULES.raisePerSecond * fullRateSeconds) -
          rateMultiplier) /
        BUCKET_RULES.raisePerSecond;
  return Math.ceil(seconds * 1_000);
}
