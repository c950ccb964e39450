import { setImmediate } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Priority } from '@relay/bitrix24';
import type { Ticket } from './database-bucket.js';
import type { PortalOperatingTimes } from './database-operating-times.js';
import { DistributedRateLimiter } from './distributed-rate-limiter.js';

/** Gives what it was told to give, one answer after the other. */
class ScriptedBucket {
  answers: Ticket[] = [];
  delays: number[] = [];
  asked: Priority[] = [];
  released: number[] = [];

  take(priority: Priority): Promise<Ticket> {
    this.asked.push(priority);
    const answer = this.answers.shift();
    return answer ? Promise.resolve(answer) : Promise.reject(new Error('asked once too often'));
  }
  ticketDelayMs(): Promise<number> {
    return Promise.resolve(this.delays.shift() ?? 0);
  }
  release(ticket: number): Promise<void> {
    this.released.push(ticket);
    return Promise.resolve();
  }
  throttleDown(): Promise<void> {
    return Promise.resolve();
  }
}

const granted = (ticket: number, waitMs = 0): Ticket => ({ granted: true, ticket, waitMs });
const rejected = (waitMs: number): Ticket => ({ granted: false, waitMs });

const timesThatReserve = (reserve: () => Record<string, number>): PortalOperatingTimes => ({
  reserve: () => Promise.resolve(new Map(Object.entries(reserve()))),
  observe: () => Promise.resolve(),
});
const freeTimes = timesThatReserve(() => ({}));

describe('a request that waits for a ticket', () => {
  let bucket: ScriptedBucket;
  const admit = (priority: Priority, signal?: AbortSignal): Promise<unknown> =>
    limiter.admit({ priority, methods: [] }, signal);
  let limiter: DistributedRateLimiter;
  beforeEach(() => {
    bucket = new ScriptedBucket();
    limiter = new DistributedRateLimiter(bucket, freeTimes);
  });

  it('checks again after a long wait, and waits on if the ticket is due later', async () => {
    bucket.answers = [granted(1, 510)];
    bucket.delays = [600, 0];
    const startedAt = performance.now();
    await admit('interactive');
    expect(performance.now() - startedAt).toBeGreaterThan(1_050);
    expect(bucket.delays).toEqual([]);
  });

  it('trusts a short wait', async () => {
    bucket.answers = [granted(1, 20)];
    bucket.delays = [10_000];
    await admit('interactive');
    expect(bucket.delays).toEqual([10_000]);
  });

  it('lets background requests ask one after the other, in their order, and interactive ones at once', async () => {
    bucket.answers = [granted(1), rejected(200), granted(2), granted(3), granted(4)];
    const order: string[] = [];
    const note = async (priority: Priority, name: string): Promise<void> => {
      await limiter.admit({ priority, methods: [] });
      order.push(name);
    };
    const all = [
      note('background', 'first'),
      note('background', 'second'),
      note('background', 'third'),
      note('interactive', 'interactive'),
    ];
    await setImmediate();
    expect(bucket.asked).toEqual(['interactive', 'background']);
    await Promise.all(all);
    expect(order).toEqual(['interactive', 'first', 'second', 'third']);
  });

  it('releases a ticket that nobody waits for any more', async () => {
    bucket.answers = [granted(7, 60_000)];
    await expect(admit('interactive', AbortSignal.timeout(20))).rejects.toThrow('timeout');
    expect(bucket.released).toEqual([7]);
  });

  it('goes on with the others when one in the background queue fails or gives up', async () => {
    const end = new AbortController();
    bucket.answers = [rejected(50), granted(1), granted(2)];
    const first = admit('background');
    const gone = admit('background', end.signal);
    const last = admit('background');
    end.abort(new Error('gone'));
    await expect(gone).rejects.toThrow('gone');
    await Promise.all([first, last]);
    await expect(admit('background')).rejects.toThrow('asked once too often');
    bucket.answers = [granted(3)];
    await admit('background');
    expect(bucket.released).toEqual([]);
  });
});

function open(reserve: () => Record<string, number>): {
  bucket: ScriptedBucket;
  limiter: DistributedRateLimiter;
} {
  const bucket = new ScriptedBucket();
  bucket.answers = [granted(1)];
  return { bucket, limiter: new DistributedRateLimiter(bucket, timesThatReserve(reserve)) };
}

describe('a request whose methods are throttled', () => {
  const request = { priority: 'interactive' as const, methods: ['crm.item.list'] };

  it('waits for a method that is free again soon, before it takes a ticket', async () => {
    const waits = [300, 200];
    const { bucket, limiter } = open((): Record<string, number> => {
      const waitMs = waits.shift();
      return waitMs === undefined ? {} : { 'crm.item.list': waitMs };
    });
    const admitted = limiter.admit(request);
    await setImmediate();
    expect(bucket.asked).toEqual([]);
    await expect(admitted).resolves.toEqual(new Map());
    expect(waits).toEqual([]);
    expect(bucket.asked).toEqual(['interactive']);
  });

  it('gives up on a method that others always get first, and takes no ticket for it', async () => {
    const { bucket, limiter } = open(() => ({ 'crm.item.list': 4_700 }));
    await expect(limiter.admit(request)).resolves.toEqual(new Map([['crm.item.list', 4_700]]));
    expect(bucket.asked).toEqual([]);
  });

  it('goes on without the commands that a batch can leave out', async () => {
    const asked: (readonly string[])[] = [];
    const bucket = new ScriptedBucket();
    bucket.answers = [granted(1)];
    const limiter = new DistributedRateLimiter(bucket, {
      ...freeTimes,
      reserve: (methods) => {
        asked.push(methods);
        return Promise.resolve(new Map(methods.includes('slow') ? [['slow', 60_000]] : []));
      },
    });
    const batch = { priority: 'interactive' as const, methods: ['batch'], optional: ['slow', 'quick'] };
    await expect(limiter.admit(batch)).resolves.toEqual(new Map([['slow', 60_000]]));
    expect(asked).toEqual([
      ['batch', 'slow', 'quick'],
      ['batch', 'quick'],
    ]);
    expect(bucket.asked).toEqual(['interactive']);
  });

  it('stops waiting with the signal’s reason', async () => {
    const end = new AbortController();
    const { limiter } = open(() => ({ 'crm.item.list': 1_000 }));
    const admitted = limiter.admit(request, end.signal);
    end.abort(new Error('shutting down'));
    await expect(admitted).rejects.toThrow('shutting down');
  });
});
