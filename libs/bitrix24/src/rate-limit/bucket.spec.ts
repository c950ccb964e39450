import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { asker, Counter, flood, limits, play } from '../../test/bucket-play.js';
import {
  BUCKET_RULES,
  backgroundAllowance,
  emptyBucket,
  ENTERPRISE_LIMIT,
  releaseTicket,
  leakBucket,
  burstAllowance,
  takeTicket,
  DEFAULT_LIMIT,
} from './bucket.js';
import type { Priority } from './rate-limiter.js';

describe('the bucket', () => {
  it('never lets Bitrix24 count more than X, for any order and delay of the requests', () => {
    fc.assert(
      fc.property(
        limits,
        fc.array(asker, { maxLength: 400, size: 'max' }),
        fc.integer({ min: 0, max: 999 }),
        (limit, askers, phaseMs) => {
          const counter = new Counter(limit, phaseMs);
          const arrivals = play(limit, askers).sent.map(({ sentAtMs, lateMs }) => sentAtMs + lateMs);
          for (const atMs of arrivals.toSorted((a, b) => a - b)) counter.arrive(atMs);
          expect(counter.rejections).toBe(0);
        },
      ),
    );
  });

  it('uses the whole allowance X − 2Y under a flood', () => {
    for (const limit of [DEFAULT_LIMIT, ENTERPRISE_LIMIT]) {
      const counter = new Counter(limit, 0);
      const { sent } = play(limit, flood(1_000, 'interactive'));
      for (const { sentAtMs } of sent) counter.arrive(sentAtMs);
      expect(counter.rejections).toBe(0);
      expect(counter.highest).toBeGreaterThanOrEqual(burstAllowance(limit));
      const seconds = (1_000 - burstAllowance(limit)) / limit.rate;
      expect(Math.max(...sent.map(({ sentAtMs }) => sentAtMs))).toBeCloseTo(seconds * 1_000, -1);
    }
  });

  it('never idles: a ticket is due as soon as the burst allowance permits, in FIFO order', () => {
    fc.assert(
      fc.property(limits, fc.array(asker, { maxLength: 200, size: 'max' }), (limit, askers) => {
        const interactive = askers.map((each) => ({
          ...each,
          priority: 'interactive' as Priority,
          givesUp: false,
        }));
        const { sent } = play(limit, interactive);
        // An ideal leaky bucket: the level right before each request, leaking continuously.
        let [level, atMs] = [0, 0];
        for (const { askedAtMs, sentAtMs } of sent) {
          const earliestMs = Math.max(askedAtMs, atMs);
          const leaked = Math.max(0, level - ((earliestMs - atMs) * limit.rate) / 1_000);
          const waitMs = (Math.max(0, leaked + 1 - burstAllowance(limit)) * 1_000) / limit.rate;
          expect(Math.abs(sentAtMs - (earliestMs + waitMs))).toBeLessThanOrEqual(1.001);
          level = Math.max(0, level - ((earliestMs + waitMs - atMs) * limit.rate) / 1_000) + 1;
          atMs = earliestMs + waitMs;
        }
      }),
    );
  });

  it('admits background work at once below its allowance, and reserves the rest for interactive work', () => {
    for (const limit of [DEFAULT_LIMIT, ENTERPRISE_LIMIT]) {
      const background = flood(burstAllowance(limit), 'background');
      const { sent } = play(limit, background);
      const immediate = sent.filter(({ sentAtMs }) => sentAtMs === 0).length;
      expect(immediate).toBe(Math.floor(backgroundAllowance(limit)));

      let bucket = play(limit, background.slice(0, immediate)).bucket;
      const reserve = burstAllowance(limit) - immediate;
      expect(reserve).toBeGreaterThanOrEqual(burstAllowance(limit) / 5);
      for (let index = 0; index < reserve; index += 1) {
        const { taken, bucket: after } = takeTicket(bucket, limit, 'interactive', 0);
        expect(taken).toMatchObject({ granted: true, waitMs: 0 });
        bucket = after;
      }
    }
  });

  it('gives background work the whole rate when there is no interactive work', () => {
    const { sent } = play(DEFAULT_LIMIT, flood(200, 'background'));
    const seconds = (200 - Math.floor(backgroundAllowance(DEFAULT_LIMIT))) / DEFAULT_LIMIT.rate;
    expect(Math.max(...sent.map(({ sentAtMs }) => sentAtMs)) / 1_000).toBeLessThan(seconds + 1);
  });

  it('reserves a share for background work under a flood of interactive work, and delays interactive work by no more than that share', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 100, max: 400 }),
        fc.integer({ min: 1, max: 8 }),
        (everyMs, bulkAskers) => {
          // More interactive requests than the rate allows: the queue only grows.
          let bucket = emptyBucket(0);
          const asking = Array.from({ length: bulkAskers }, () => 0);
          let bulkTickets = 0;
          const minutes = 5 * 60_000;
          for (let nowMs = 0; nowMs < minutes; nowMs += everyMs) {
            bucket = takeTicket(bucket, DEFAULT_LIMIT, 'interactive', nowMs).bucket;
            for (const [index, atMs] of asking.entries()) {
              if (atMs > nowMs) continue;
              const { bucket: after, taken } = takeTicket(bucket, DEFAULT_LIMIT, 'background', nowMs);
              bucket = after;
              if (taken.granted) bulkTickets += 1;
              else asking[index] = nowMs + taken.retryAfterMs;
            }
          }
          const leaked = leakBucket(bucket, DEFAULT_LIMIT, minutes).leaked;
          const share = leaked / BUCKET_RULES.backgroundEvery;
          expect(bulkTickets).toBeGreaterThanOrEqual(share - 2);
          // Plus the tickets from the empty bucket.
          expect(bulkTickets).toBeLessThanOrEqual(share + backgroundAllowance(DEFAULT_LIMIT) + 1);
        },
      ),
    );
  });

  it('releases a ticket only if it is the last', () => {
    const three = play(DEFAULT_LIMIT, flood(3, 'interactive')).bucket;
    expect(releaseTicket(three, 3).tickets).toBe(2);
    expect(releaseTicket(three, 2)).toBe(three);
    const leaked = releaseTicket(leakBucket(three, DEFAULT_LIMIT, 60_000), 3);
    expect(leaked.leaked).toBe(2);
  });

  it('admits one request at a time if the limit is too small for the formula', () => {
    const tiny = { rate: 10, burst: 12 };
    const { sent } = play(tiny, flood(4, 'interactive'));
    expect(sent.map(({ sentAtMs }) => sentAtMs)).toEqual([0, 100, 200, 300]);
  });

  it('tolerates a clock that is set back', () => {
    const bucket = play(DEFAULT_LIMIT, flood(60, 'interactive')).bucket;
    const back = leakBucket(bucket, DEFAULT_LIMIT, -3_600_000);
    expect(back.leaked).toBe(bucket.leaked);
    expect(leakBucket(back, DEFAULT_LIMIT, -3_599_000).leaked).toBe(bucket.leaked + DEFAULT_LIMIT.rate);
  });
});
