import type { Priority } from './rate-limiter.js';

/**
 * The arithmetic of one portal's rate limit, free of clocks and stores (`limits.md`).
 *
 * Bitrix24 adds 1 to a counter for each HTTP request of our address and takes Y off once a second; above X it refuses.
 * Here each request takes a numbered place, and places leak at the rate Y. The turn of a place has come when no more
 * than the line of X − 2Y places are in front that have not leaked: one Y because Bitrix24 leaks in steps of a second,
 * one because it counts at arrival, which may be up to a second after the turn. So its counter stays at X or below.
 */
export interface RateLimit {
  /** Y, requests a second. */
  readonly rate: number;
  /** X, requests. */
  readonly burst: number;
}

/** All plans but Enterprise. */
export const DEFAULT_LIMIT: RateLimit = { rate: 2, burst: 50 };
export const ENTERPRISE_LIMIT: RateLimit = { rate: 5, burst: 250 };

/** What all processes that call one portal share. Times are of one clock, in milliseconds. */
export interface Bucket {
  /** Places given so far, those of waiting requests among them; each is known by its number, from 1. */
  readonly places: number;
  /** So many of them no longer count at `leakedAtMs`. Below 0 after a bucket was found fuller than its places say. */
  readonly leaked: number;
  readonly leakedAtMs: number;
  /** Of the rate, what is ours at `leakedAtMs`: below 1 after a refusal, since somebody else uses our address. */
  readonly share: number;
  /** The last place that had its turn when Bitrix24 last refused; 0 if it never has. */
  readonly refusedPlace: number;
  /** As soon as so many have leaked, bulk work may stand in line like live work. */
  readonly bulkFrom: number;
}

export type Ticket =
  | { readonly granted: true; readonly place: number; readonly waitMs: number }
  | { readonly granted: false; readonly askAgainMs: number };

export const BUCKET_RULES = {
  /** Of the line, what bulk work leaves to live work: a burst of live work then need not wait at all. */
  bulkReserve: 0.2,
  /** Under a flood of live work one place in so many is for bulk work. */
  bulkEvery: 8,
  /** By this the share is multiplied when Bitrix24 refuses. */
  lowerBy: 0.7,
  leastShare: 0.05,
  /** Of the whole rate, how much comes back each second: from half to all takes a minute, from the least two. */
  raisePerSecond: 1 / 120,
};

export function emptyBucket(nowMs: number): Bucket {
  return { places: 0, leaked: 0, leakedAtMs: nowMs, share: 1, refusedPlace: 0, bulkFrom: 0 };
}

/** How many places may be in front, one's own included. A limit too small for the rule still lets one through. */
export function burstAllowance({ rate, burst }: RateLimit): number {
  return Math.max(1, burst - 2 * rate);
}

export function bulkAllowance(limit: RateLimit): number {
  return Math.max(1, burstAllowance(limit) * (1 - BUCKET_RULES.bulkReserve));
}

/** The bucket at a later time. A clock that was set back takes nothing off and puts nothing on. */
export function leakBucket(bucket: Bucket, limit: RateLimit, nowMs: number): Bucket {
  const elapsed = Math.max(0, nowMs - bucket.leakedAtMs) / 1_000;
  const raising = Math.min(elapsed, (1 - bucket.share) / BUCKET_RULES.raisePerSecond);
  const fullRateSeconds =
    bucket.share * raising + (BUCKET_RULES.raisePerSecond * raising * raising) / 2 + (elapsed - raising);
  return {
    ...bucket,
    leaked: Math.min(bucket.places, bucket.leaked + limit.rate * fullRateSeconds),
    leakedAtMs: nowMs,
    share: Math.min(1, bucket.share + BUCKET_RULES.raisePerSecond * elapsed),
  };
}

/** Live work takes its place in line; bulk work only where it finds room below its own line, or when it is due. */
export function takeTicket(
  before: Bucket,
  limit: RateLimit,
  work: Priority,
  nowMs: number,
): { bucket: Bucket; taken: Ticket } {
  const bucket = leakBucket(before, limit, nowMs);
  const bulk = work === 'bulk';
  const granted =
    !bulk || bucket.places + 1 - bucket.leaked <= bulkAllowance(limit) || bucket.leaked >= bucket.bulkFrom;
  if (!granted) return { bucket: before, taken: rejectTicket(bucket, limit) };
  const place = bucket.places + 1;
  return {
    bucket: {
      ...bucket,
      places: place,
      bulkFrom: bulk ? bucket.leaked + BUCKET_RULES.bulkEvery : bucket.bulkFrom,
    },
    taken: grantTicket(bucket, limit, place),
  };
}

/** What `takePlace` says of a place in a bucket that has leaked until now. */
export function grantTicket(bucket: Bucket, limit: RateLimit, place: number): Ticket {
  return { granted: true, place, waitMs: delayUntilTurn(bucket, limit, place) };
}

/** What `takePlace` says to bulk work without a place: when it would find room, or be due, if nobody else came. */
export function rejectTicket(bucket: Bucket, limit: RateLimit): Ticket {
  const room = untilLeaked(bucket, limit, bucket.places + 1 - bulkAllowance(limit));
  return { granted: false, askAgainMs: Math.min(room, untilLeaked(bucket, limit, bucket.bulkFrom)) };
}

/** Milliseconds, whole, from `leakedAtMs` until the request with this place may be sent. */
export function delayUntilTurn(bucket: Bucket, limit: RateLimit, place: number): number {
  return untilLeaked(bucket, limit, place - burstAllowance(limit));
}

/** The request of this place will not be sent. Only the last place can be given to somebody else. */
export function releaseTicket(bucket: Bucket, place: number): Bucket {
  if (bucket.places !== place) return bucket;
  return { ...bucket, places: place - 1, leaked: Math.min(bucket.leaked, place - 1) };
}

/**
 * Bitrix24 has refused: its counter is at X, whatever we believed, because somebody else calls from our address. Who
 * already waits keeps the order, and waits until X has leaked down to the line: some three seconds. A refusal before
 * anybody has gone after that is one of the requests that were under way, which tells nothing new.
 */
export function throttleDown(before: Bucket, limit: RateLimit, nowMs: number): Bucket {
  const bucket = leakBucket(before, limit, nowMs);
  const reached = bucket.leaked + burstAllowance(limit);
  if (reached < bucket.refusedPlace + 1) return before;
  const refusedPlace = Math.min(bucket.places, reached);
  const leaked = refusedPlace - limit.burst;
  return {
    ...bucket,
    leaked,
    bulkFrom: bucket.bulkFrom + leaked - bucket.leaked,
    share: Math.max(BUCKET_RULES.leastShare, bucket.share * BUCKET_RULES.lowerBy),
    refusedPlace,
  };
}

/** Turns `leakBucket` round. */
function untilLeaked({ leaked, share }: Bucket, { rate }: RateLimit, target: number): number {
  const fullRateSeconds = (target - leaked) / rate;
  if (fullRateSeconds <= 0) return 0;
  const raising = (1 - share) / BUCKET_RULES.raisePerSecond;
  const whileRaising = share * raising + (BUCKET_RULES.raisePerSecond * raising * raising) / 2;
  const seconds =
    fullRateSeconds >= whileRaising
      ? raising + (fullRateSeconds - whileRaising)
      : (Math.sqrt(share * share + 2 * BUCKET_RULES.raisePerSecond * fullRateSeconds) - share) /
        BUCKET_RULES.raisePerSecond;
  return Math.ceil(seconds * 1_000);
}
