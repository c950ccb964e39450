import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Priority } from '@relay/bitrix24';
import { silentLog } from '@relay/platform';
import type { DataSource } from 'typeorm';
import { eventually } from '../../../../test/support/eventually.js';
import { clear, PortalsDatabase } from '../../test/portals-database.js';
import { PortalRepository } from '../repository/portal-repository.js';
import { DatabaseBucket } from './database-bucket.js';
import { DatabaseOperatingTimes } from './database-operating-times.js';
import { PortalLimits } from './portal-limits.js';
import { DistributedRateLimiter } from './distributed-rate-limiter.js';

/** Ten a second and a burst of forty: as the real one, in a fifth of the time. */
const limit = { rate: 10, burst: 40 };
const line = limit.burst - 2 * limit.rate;

describe('DatabaseBucket', () => {
  let database: PortalsDatabase;
  let sources: DataSource[];
  let source: DataSource;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    sources = [source, await database.connect(), await database.connect()];
  });
  beforeEach(async () => {
    await clear(source);
    const portalRepository = new PortalRepository(source, database.box, [], silentLog);
    for (const memberId of ['m1', 'm2']) {
      const webhookUrl = 'https://one.bitrix24.com/rest/1/secret/';
      await portalRepository.registerWebhook({ memberId, webhookUrl, applicationToken: memberId });
      await new PortalLimits(source).setLimit(memberId, limit);
    }
  });
  afterAll(() => database.close());

  const bucketOf = (memberId = 'm1', of = source): DatabaseBucket =>
    new DatabaseBucket(of, memberId, silentLog);
  const limiterOf = (memberId = 'm1', of = source): DistributedRateLimiter =>
    new DistributedRateLimiter(
      bucketOf(memberId, of),
      new DatabaseOperatingTimes(of, silentLog).of(memberId),
    );

  async function row(memberId = 'm1'): Promise<{ tickets: number }> {
    const [found] = await source.query<{ tickets: number }[]>(
      'SELECT places AS tickets FROM portals.rate_buckets WHERE member_id = $1',
      [memberId],
    );
    if (!found) throw new Error('no row');
    return found;
  }

  /** When each of `count` requests was let through, in milliseconds from the start; by several processes' pools. */
  async function times(
    count: number,
    memberId = 'm1',
    priority: Priority = 'interactive',
  ): Promise<number[]> {
    const rateLimiters = sources.map((each) => limiterOf(memberId, each));
    const startedAt = performance.now();
    const admitted = Array.from({ length: count }, async (_, index) => {
      await rateLimiters[index % rateLimiters.length]?.admit({ priority, methods: [] });
      return performance.now() - startedAt;
    });
    return (await Promise.all(admitted)).toSorted((a, b) => a - b);
  }

  it('takes a ticket by a statement that the database has planned before', async () => {
    const runner = source.createQueryRunner();
    try {
      const bucket = new DatabaseBucket(runner, 'm1', silentLog);
      for (const ticket of [1, 2]) expect(await bucket.take('interactive')).toMatchObject({ ticket });
      expect(await runner.query('SELECT name FROM pg_prepared_statements')).toContainEqual({
        name: 'take-ticket',
      });
    } finally {
      await runner.release();
    }
  });

  it('lets a burst through at once, and then the rate, for all processes together', async () => {
    const passed = await times(line + 10);
    expect(passed[line - 1]).toBeLessThan(2_000);
    // The tenth after the burst comes a second later: never sooner, and not much later.
    expect(passed.at(-1)).toBeGreaterThan(900);
    expect(passed.at(-1)).toBeLessThan(5_000);
  });

  it.each<Priority>(['interactive', 'background'])(
    'never lets more %s work through than Bitrix24 allows',
    async (priority) => {
      const passed = await times(line + 15, 'm1', priority);
      let level = 0;
      let second = 0;
      for (const ms of passed) {
        for (; second < Math.floor(ms / 1_000); second += 1) level = Math.max(0, level - limit.rate);
        level += 1;
        expect(level).toBeLessThanOrEqual(limit.burst);
      }
    },
  );

  it('issues every ticket once, though all processes ask at the same time', async () => {
    const buckets = sources.map((each) => bucketOf('m1', each));
    const taken = await Promise.all(
      Array.from({ length: 90 }, (_, index) =>
        (buckets[index % buckets.length] ?? bucketOf()).take('interactive'),
      ),
    );
    const tickets = taken.flatMap((each) => (each?.granted ? [each.ticket] : []));
    expect(tickets.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 90 }, (_, index) => index + 1));
    expect((await row()).tickets).toBe(90);
  });

  it('keeps portals apart', async () => {
    await times(line);
    await expect(bucketOf('m2').take('interactive')).resolves.toMatchObject({ ticket: 1, waitMs: 0 });
  });

  it('takes a ticket for one background request per process at a time', async () => {
    await new PortalLimits(source).setLimit('m1', { rate: 0.01, burst: 1 });
    await bucketOf().take('interactive');
    const bucket = bucketOf();
    let asking = 0;
    const counted = Object.assign(Object.create(bucket), {
      take: (priority: Priority) => ((asking += 1), bucket.take(priority)),
    });
    const rateLimiter = new DistributedRateLimiter(
      counted,
      new DatabaseOperatingTimes(source, silentLog).of('m1'),
    );
    const end = new AbortController();
    const waiting = Promise.allSettled(
      Array.from({ length: 20 }, () =>
        rateLimiter.admit({ priority: 'background', methods: [] }, end.signal),
      ),
    );
    // The first has a ticket and waits for its delay; the second has to retry; the others wait in the process's queue.
    await eventually(() => expect(asking).toBe(2));
    const reason = new Error('enough');
    end.abort(reason);
    expect(await waiting).toEqual(Array.from({ length: 20 }, () => ({ status: 'rejected', reason })));
    expect(asking).toBe(2);
  });

  it('gives the ticket of an aborted wait to the next request, if it is the last', async () => {
    const bucket = bucketOf();
    for (let index = 0; index < 2 * line; index += 1) await bucket.take('interactive');
    const waiting = limiterOf().admit({ priority: 'interactive', methods: [] }, AbortSignal.timeout(20));
    await expect(waiting).rejects.toThrow('aborted');
    await eventually(async () => expect((await row()).tickets).toBe(2 * line));

    await bucket.release(2 * line - 1);
    expect((await row()).tickets).toBe(2 * line);
  });

  it('moves waiting requests when another process is rejected', async () => {
    const bucket = bucketOf();
    for (let index = 0; index < line; index += 1) await bucket.take('interactive');
    const taken = await bucket.take('interactive');
    if (!taken.granted) throw new Error('interactive work always gets a ticket');
    expect(taken.waitMs).toBeLessThanOrEqual(100);
    await bucketOf('m1', sources[1]).throttleDown();
    // X has to leak down to the line, at 0.7 of the rate.
    expect(await bucket.ticketDelayMs(taken.ticket)).toBeGreaterThan(1_500);
  });

  it('tells that a portal is not known, and leaves nothing of one that was deleted', async () => {
    await expect(bucketOf('unknown').take('interactive')).rejects.toMatchObject({ code: 'NOT_INSTALLED' });
    await expect(bucketOf('unknown').throttleDown()).resolves.toBeUndefined();
    await bucketOf().take('interactive');
    await source.query(`DELETE FROM portals.portals WHERE member_id = 'm1'`);
    await expect(row()).rejects.toThrow('no row');
  });

  it('leaves the other statements of its connections to commit synchronously', async () => {
    // Test databases commit asynchronously unless told otherwise.
    await source.query(
      `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = on', current_database()); END $$`,
    );
    const synchronous = await database.connect();
    await Promise.all(Array.from({ length: 16 }, () => bucketOf('m1', synchronous).take('interactive')));
    const shown = await Promise.all(
      Array.from({ length: 16 }, () =>
        synchronous.query<{ synchronous_commit: string }[]>('SHOW synchronous_commit'),
      ),
    );
    expect(new Set(shown.map(([setting]) => setting?.synchronous_commit))).toEqual(new Set(['on']));
  });

  it('does not reject when a release or a rejection cannot be stored', async () => {
    const gone = await database.connect();
    await gone.destroy();
    await expect(bucketOf('m1', gone).throttleDown()).resolves.toBeUndefined();
    await expect(bucketOf('m1', gone).release(1)).resolves.toBeUndefined();
    await expect(bucketOf('m1', gone).take('interactive')).rejects.toThrow(
      /not connected|connection|not established/i,
    );
  });
});
