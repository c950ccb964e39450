import { describe, expect, it } from '@jest/globals';
import { InMemoryRateLimiter } from './in-memory-rate-limiter.js';
import type { Priority } from './rate-limiter.js';

/** Twenty a second, with a burst allowance of forty. */
const limit = { rate: 20, burst: 80 };
const line = 40;

async function times(
  rateLimiter: InMemoryRateLimiter,
  count: number,
  priority: Priority = 'interactive',
): Promise<number[]> {
  const startedAt = performance.now();
  const each = Array.from({ length: count }, async () => {
    await rateLimiter.admit({ priority, methods: ['crm.item.get'] });
    return performance.now() - startedAt;
  });
  return (await Promise.all(each)).toSorted((a, b) => a - b);
}

describe('InMemoryRateLimiter', () => {
  it('admits the burst at once, and then the rate', async () => {
    const passed = await times(new InMemoryRateLimiter(limit), line + 10);
    expect(passed[line - 1]).toBeLessThan(400);
    expect(passed.at(-1)).toBeGreaterThan(480);
    expect(passed.at(-1)).toBeLessThan(2_500);
  });

  it('reserves tickets for interactive work under a flood of background work', async () => {
    const rateLimiter = new InMemoryRateLimiter(limit);
    const end = new AbortController();
    const background = Promise.allSettled(
      Array.from({ length: 200 }, () =>
        rateLimiter.admit({ priority: 'background', methods: [] }, end.signal),
      ),
    );
    const [first, second] = await times(rateLimiter, 5);
    expect(first).toBeLessThan(200);
    expect(second).toBeLessThan(200);
    end.abort();
    expect((await background).filter(({ status }) => status === 'fulfilled').length).toBeLessThan(line);
  });

  it('delays requests after a rejection, also those with a ticket', async () => {
    const rateLimiter = new InMemoryRateLimiter({ rate: 20, burst: 41 });
    await times(rateLimiter, 1);
    const waiting = times(rateLimiter, 15);
    await rateLimiter.rejected();
    // Behind them 40 have to leak at 0.7 of 20 a second.
    const passed = await waiting;
    expect(passed.at(-1)).toBeGreaterThan(2_000);
  });

  it('ends a wait with the signal’s reason, and releases the ticket', async () => {
    const rateLimiter = new InMemoryRateLimiter({ rate: 0.5, burst: 2 });
    await rateLimiter.admit({ priority: 'interactive', methods: [] });
    const reason = new Error('shutting down');
    for (const priority of ['interactive', 'background'] as const) {
      const end = new AbortController();
      const waiting = rateLimiter.admit({ priority, methods: [] }, end.signal);
      end.abort(reason);
      await expect(waiting).rejects.toBe(reason);
      await expect(rateLimiter.admit({ priority, methods: [] }, AbortSignal.abort(reason))).rejects.toBe(
        reason,
      );
    }
    const [passed] = await times(rateLimiter, 1);
    expect(passed).toBeLessThan(3_500);
  });

  it('reports a method without operating time as paused, and admits the others', async () => {
    const rateLimiter = new InMemoryRateLimiter();
    const usage = { operatingSeconds: undefined, resetsInMs: 90_000, exhausted: true };
    await rateLimiter.observe([{ method: 'crm.item.list', ...usage }]);
    const priority = 'interactive' as const;
    const optional = ['crm.item.LIST', 'crm.item.get'];
    const paused = await rateLimiter.admit({ priority, methods: ['batch'], optional });
    expect([...paused.keys()]).toEqual(['crm.item.list']);
    expect(paused.get('crm.item.list')).toBeGreaterThan(80_000);

    await expect(rateLimiter.admit({ priority, methods: ['crm.item.get'] })).resolves.toEqual(new Map());
    await expect(
      rateLimiter.admit({ priority, methods: ['crm.item.get', 'crm.item.list'] }),
    ).resolves.toEqual(new Map([['crm.item.list', expect.closeTo(90_000, -5)]]));
  });

  it('takes no ticket for a request that cannot be sent', async () => {
    const rateLimiter = new InMemoryRateLimiter({ rate: 0.001, burst: 2 });
    await rateLimiter.observe([
      { method: 'a', operatingSeconds: undefined, resetsInMs: 90_000, exhausted: true },
    ]);
    for (let round = 0; round < 10; round += 1) {
      expect((await rateLimiter.admit({ priority: 'interactive', methods: ['b', 'a'] })).size).toBe(1);
      expect(
        (await rateLimiter.admit({ priority: 'background', methods: ['batch'], optional: ['a'] })).size,
      ).toBe(1);
    }
    const [passed] = await times(rateLimiter, 1);
    expect(passed).toBeLessThan(1_000);
  });

  it('sends one call of a throttled method at a time, the next after its usage sample', async () => {
    const rateLimiter = new InMemoryRateLimiter();
    const usage = { method: 'crm.item.list', resetsInMs: 2_000, exhausted: false };
    const request = { priority: 'interactive' as const, methods: ['crm.item.list'] };
    await rateLimiter.observe([{ ...usage, operatingSeconds: 384 }]);
    await rateLimiter.admit(request);
    const second = rateLimiter.admit(request);
    const early = await Promise.race([
      second.then(() => 'early'),
      new Promise((resolve) => setImmediate(() => resolve('not yet'))),
    ]);
    expect(early).toBe('not yet');
    await rateLimiter.observe([{ ...usage, operatingSeconds: 385 }]);
    await second;
  });
});
