import { describe, expect, it } from '@jest/globals';
import { DistributedRateLimiter, type SharedOperatingTimes } from './distributed-rate-limiter.js';
import type { SharedBucket } from './limiter-queue.js';

const places: number[] = [];
const openBucket: SharedBucket = {
  take: () => Promise.resolve({ granted: true, place: places.push(0), waitMs: 0 }),
  untilTurn: () => Promise.resolve(0),
  giveBack: () => Promise.resolve(),
  lower: () => Promise.resolve(),
};
const timesThatClaim = (claim: () => number): SharedOperatingTimes => ({
  paused: () => Promise.resolve(new Map()),
  claim: () => Promise.resolve(claim()),
  observe: () => Promise.resolve(),
});
const request = { work: 'live' as const, methods: ['crm.item.list'] };

describe('DistributedRateLimiter', () => {
  it('waits for a method that is free again soon, before it takes a ticket', async () => {
    const waits = [300, 200, 0];
    const rateLimiter = new DistributedRateLimiter(
      openBucket,
      timesThatClaim(() => waits.shift() ?? 0),
    );
    const before = places.length;
    const admitted = rateLimiter.admit(request);
    await Promise.resolve();
    expect(places.length).toBe(before);
    await admitted;
    expect(waits).toEqual([]);
    expect(places.length).toBe(before + 1);
  });

  it('gives up on a method that others always get first, and takes no ticket for it', async () => {
    const before = places.length;
    const rateLimiter = new DistributedRateLimiter(
      openBucket,
      timesThatClaim(() => 4_700),
    );
    await expect(rateLimiter.admit(request)).rejects.toMatchObject({
      code: 'OPERATION_TIME_LIMIT',
      retryAfterMs: 4_700,
      message: expect.stringContaining('crm.item.list'),
    });
    expect(places.length).toBe(before);
  });

  it('stops waiting with the signal’s reason', async () => {
    const end = new AbortController();
    const admitted = new DistributedRateLimiter(
      openBucket,
      timesThatClaim(() => 1_000),
    ).admit(request, end.signal);
    end.abort(new Error('shutting down'));
    await expect(admitted).rejects.toThrow('shutting down');
  });
});
