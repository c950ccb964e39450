import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Counter, flood, limits, play } from '../../test/bucket-play.js';
import {
  type Bucket,
  BUCKET_RULES,
  emptyBucket,
  leakBucket,
  burstAllowance,
  throttleDown,
  takeTicket,
  ticketDelayMs,
  DEFAULT_LIMIT,
} from './bucket.js';

/**
 * Twenty clients of ours, which retry after each rejection, beside a foreign client that sends `theirs` requests a
 * second from `fromMs` to `toMs`. @returns how many of ours were accepted in each window
 */
function besides(theirs: number, fromMs: number, toMs: number, untilMs: number) {
  const counter = new Counter(DEFAULT_LIMIT, 300);
  let bucket = emptyBucket(0);
  const waiting: number[] = [];
  const through: number[] = [];
  let rejected = 0;
  let next = { atMs: 0, ticket: 0 };
  const ask = (nowMs: number): void => {
    const { bucket: after, taken } = takeTicket(bucket, DEFAULT_LIMIT, 'interactive', nowMs);
    bucket = after;
    if (taken.granted) waiting.push(taken.ticket);
  };
  // Twenty callers, each with one request at a time, each checking every 10 ms whether its ticket may be sent.
  for (let caller = 0; caller < 20; caller += 1) ask(0);
  for (let nowMs = 0; nowMs < untilMs; nowMs += 10) {
    if (nowMs >= next.atMs) {
      if (nowMs >= fromMs && nowMs < toMs) counter.arrive(nowMs);
      next = { ...next, atMs: nowMs + 1_000 / theirs };
    }
    bucket = leakBucket(bucket, DEFAULT_LIMIT, nowMs);
    while (waiting[0] !== undefined && ticketDelayMs(bucket, DEFAULT_LIMIT, waiting[0]) === 0) {
      waiting.shift();
      if (counter.arrive(nowMs)) through.push(nowMs);
      else {
        rejected += 1;
        bucket = throttleDown(bucket, DEFAULT_LIMIT, nowMs);
      }
      ask(nowMs);
    }
  }
  const between = (a: number, b: number): number => through.filter((ms) => ms >= a && ms < b).length;
  return { between, rejected };
}

describe('a bucket after a rejection', () => {
  it('computes the delay of a ticket by the formula of the leak, also while the rate recovers', () => {
    const state = fc.record({
      rateMultiplier: fc.double({ min: BUCKET_RULES.minMultiplier, max: 1, noNaN: true }),
      tickets: fc.integer({ min: 0, max: 300 }),
    });
    fc.assert(
      fc.property(limits, state, (limit, { rateMultiplier, tickets }) => {
        const bucket = { ...emptyBucket(0), rateMultiplier, tickets };
        const waitMs = ticketDelayMs(bucket, limit, tickets);
        const leaked = (atMs: number): number => leakBucket(bucket, limit, atMs).leaked;
        expect(leaked(waitMs)).toBeGreaterThanOrEqual(tickets - burstAllowance(limit) - 1e-6);
        expect(waitMs > 1 ? leaked(waitMs - 1.001) : -Infinity).toBeLessThan(tickets - burstAllowance(limit));
      }),
    );
  });

  it('leaks the same in one step as in many', () => {
    fc.assert(
      fc.property(
        limits,
        fc.double({ min: BUCKET_RULES.minMultiplier, max: 1, noNaN: true }),
        fc.array(fc.integer({ min: 0, max: 60_000 }), { maxLength: 20, size: 'max' }),
        (limit, rateMultiplier, steps) => {
          const full = { ...emptyBucket(0), rateMultiplier, tickets: 100_000 };
          let stepped: Bucket = full;
          let nowMs = 0;
          for (const ms of steps) stepped = leakBucket(stepped, limit, (nowMs += ms));
          const once = leakBucket(full, limit, nowMs);
          expect(stepped.leaked).toBeCloseTo(once.leaked, 6);
          expect(stepped.rateMultiplier).toBeCloseTo(once.rateMultiplier, 9);
        },
      ),
    );
  });

  it('counts once for all requests in flight, and again for one that was sent after it', () => {
    let bucket = play(DEFAULT_LIMIT, flood(80, 'interactive')).bucket;
    for (let index = 0; index < 46; index += 1)
      bucket = throttleDown(bucket, DEFAULT_LIMIT, 1_000 + index * 10);
    expect(bucket.rateMultiplier).toBeGreaterThanOrEqual(BUCKET_RULES.decreaseFactor);
    expect(bucket.rateMultiplier).toBeLessThan(BUCKET_RULES.decreaseFactor + 0.01);
    // 48 could be sent; the 49th can when X has leaked down to the burst allowance.
    const waitMs = ticketDelayMs(bucket, DEFAULT_LIMIT, 49);
    expect(waitMs).toBeGreaterThan(2_500);
    expect(waitMs).toBeLessThan(4_000);
    const again = throttleDown(
      leakBucket(bucket, DEFAULT_LIMIT, bucket.leakedAtMs + waitMs),
      DEFAULT_LIMIT,
      bucket.leakedAtMs + waitMs,
    );
    expect(again.rateMultiplier).toBeLessThan(
      BUCKET_RULES.decreaseFactor * BUCKET_RULES.decreaseFactor + 0.05,
    );
  });

  it('keeps the order of waiting tickets, and delays them all', () => {
    const bucket = play(DEFAULT_LIMIT, flood(80, 'interactive')).bucket;
    const lowered = throttleDown(bucket, DEFAULT_LIMIT, 0);
    const delays = [47, 48, 60, 80].map((ticket) => ticketDelayMs(lowered, DEFAULT_LIMIT, ticket));
    expect(delays).toEqual(delays.toSorted((a, b) => a - b));
    expect(delays[0]).toBeGreaterThan(3_000);
    expect(delays[3]).toBeGreaterThan(ticketDelayMs(bucket, DEFAULT_LIMIT, 80) + 3_000);
  });

  it('delays background work no longer than the pause after a rejection', () => {
    const { bucket } = takeTicket(
      play(DEFAULT_LIMIT, flood(200, 'interactive')).bucket,
      DEFAULT_LIMIT,
      'background',
      0,
    );
    expect(bucket.nextBackgroundAt - bucket.leaked).toBe(BUCKET_RULES.backgroundEvery);
    const lowered = throttleDown(bucket, DEFAULT_LIMIT, 0);
    expect(lowered.nextBackgroundAt - lowered.leaked).toBe(BUCKET_RULES.backgroundEvery);
  });

  it('never lowers the rate below a twentieth, and restores it within two minutes', () => {
    let bucket = emptyBucket(0);
    let nowMs = 0;
    for (let index = 0; index < 40; index += 1) {
      const { bucket: after, taken } = takeTicket(bucket, DEFAULT_LIMIT, 'interactive', nowMs);
      if (!taken.granted) throw new Error('interactive work always gets a place');
      nowMs += taken.waitMs;
      bucket = throttleDown(leakBucket(after, DEFAULT_LIMIT, nowMs), DEFAULT_LIMIT, nowMs);
      expect(bucket.rateMultiplier).toBeGreaterThanOrEqual(BUCKET_RULES.minMultiplier);
    }
    expect(
      throttleDown(
        { ...bucket, rateMultiplier: BUCKET_RULES.minMultiplier, rejectedTicket: 0 },
        DEFAULT_LIMIT,
        nowMs,
      ).rateMultiplier,
    ).toBe(BUCKET_RULES.minMultiplier);
    expect(
      leakBucket({ ...bucket, rateMultiplier: BUCKET_RULES.minMultiplier }, DEFAULT_LIMIT, nowMs + 120_000)
        .rateMultiplier,
    ).toBe(1);
  });

  it('converges to the rate that another client leaves, with few rejections, and recovers when that client stops', () => {
    const [fromMs, goneMs, untilMs] = [60_000, 660_000, 900_000];
    const { between, rejected } = besides(1, fromMs, goneMs, untilMs);
    const perSecond = between(160_000, goneMs) / 500;
    expect(perSecond).toBeGreaterThan(0.9);
    expect(perSecond).toBeLessThanOrEqual(1.1);
    // About one for each 20 seconds.
    expect(rejected).toBeLessThan(60);
    expect(between(goneMs + 90_000, untilMs) / ((untilMs - goneMs - 90_000) / 1_000)).toBeCloseTo(2, 1);
  });
});
