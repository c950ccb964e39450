import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { MethodUsage, RateLimiter, Throttled } from '@relay/bitrix24';
import { silentLog } from '@relay/platform';
import { register } from 'prom-client';
import type { DataSource } from 'typeorm';
import { eventually } from '../../../../test/support/eventually.js';
import { collectGarbage } from '../../test/collect-garbage.js';
import { clear, keptLog, PortalsDatabase } from '../../test/portals-database.js';
import { PortalRepository } from '../repository/portal-repository.js';
import { PortalLimits } from './portal-limits.js';
import { PortalRateLimiter } from './distributed-rate-limiter.js';

const list = 'crm.item.list';
const usage = (operatingSeconds: number, resetsInMs = 300_000): MethodUsage => ({
  method: list,
  operatingSeconds,
  resetsInMs,
  exhausted: false,
});
const rejection: MethodUsage = {
  method: list,
  operatingSeconds: undefined,
  resetsInMs: 300_000,
  exhausted: true,
};

/** What a batch of these commands would have to leave out. */
const throttledOf = (limiter: RateLimiter, methods: readonly string[]): Promise<Throttled> =>
  limiter.admit({ priority: 'interactive', methods: [], optional: methods });

describe('PortalRateLimiter', () => {
  let database: PortalsDatabase;
  let sources: [DataSource, DataSource];
  /** Of two processes. */
  let here: RateLimiter;
  let there: RateLimiter;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    sources = [await database.connect(), await database.connect()];
  });
  beforeEach(async () => {
    await clear(sources[0]);
    const portalRepository = new PortalRepository(sources[0], database.box, [], silentLog);
    const webhookUrl = 'https://one.bitrix24.com/rest/1/secret/';
    for (const memberId of ['m1', 'm2']) {
      await portalRepository.registerWebhook({ memberId, webhookUrl, applicationToken: memberId });
    }
    [here, there] = [
      new PortalRateLimiter(sources[0], silentLog).of('m1'),
      new PortalRateLimiter(sources[1], silentLog).of('m1'),
    ];
  });
  afterAll(() => database.close());

  const rows = async (): Promise<{ method: string }[]> =>
    await sources[0].query('SELECT * FROM portals.operating_times');
  const interactive = { priority: 'interactive' as const, methods: [list] };

  it('has one rate limiter per portal in a process', () => {
    const rateLimiter = new PortalRateLimiter(sources[0], silentLog);
    expect(rateLimiter.of('m1')).toBe(rateLimiter.of('m1'));
    expect(rateLimiter.of('m1')).not.toBe(rateLimiter.of('m2'));
  });

  it('forgets a rate limiter that nobody uses, and never one that is used', async () => {
    const rateLimiter = new PortalRateLimiter(sources[0], silentLog);
    const used = rateLimiter.of('m1');
    const idle = new WeakRef(rateLimiter.of('m2'));
    await eventually(() => {
      collectGarbage();
      expect(idle.deref()).toBeUndefined();
    });
    expect(rateLimiter.of('m1')).toBe(used);
  });

  it('writes nothing of a method that is far from its limit', async () => {
    await here.observe([usage(100), usage(383)]);
    await expect(rows()).resolves.toEqual([]);
  });

  it('pauses a method for all processes when it was rejected for one, and no other method', async () => {
    await expect(throttledOf(there, [list])).resolves.toEqual(new Map());
    await here.observe([rejection]);
    const paused = await eventually(async () => {
      const found = await throttledOf(there, [list, 'crm.item.get']);
      expect(found.size).toBe(1);
      return found;
    });
    expect(paused.get(list)).toBeGreaterThan(200_000);
    expect(paused.get(list)).toBeLessThanOrEqual(300_000);
    await expect(there.admit(interactive)).resolves.toEqual(new Map([[list, expect.any(Number)]]));
    await there.admit({ priority: 'interactive', methods: ['crm.item.get'] });
    await expect(throttledOf(here, [list])).resolves.toEqual(new Map([[list, expect.any(Number)]]));
  });

  it('keeps portals apart', async () => {
    await here.observe([rejection]);
    const other = new PortalRateLimiter(sources[0], silentLog).of('m2');
    await expect(throttledOf(other, [list])).resolves.toEqual(new Map());
  });

  it('lets one process at a time call a throttled method, and the next after its usage sample', async () => {
    await here.observe([usage(384)]);
    await here.admit(interactive);
    let admitted = false;
    const second = (async () => {
      await there.admit(interactive);
      admitted = true;
    })();
    await eventually(async () => {
      const [row] = await sources[0].query<{ waits: boolean }[]>(
        'SELECT next_at > clock_timestamp() AS waits FROM portals.operating_times',
      );
      expect(row?.waits).toBe(true);
    });
    expect(admitted).toBe(false);
    await here.observe([usage(384.1)]);
    await second;
  });

  it('forgets a method whose usage is low again', async () => {
    await here.observe([usage(470, 0)]);
    await expect(rows()).resolves.toHaveLength(1);
    await throttledOf(here, [list]);
    await here.observe([usage(200)]);
    await expect(rows()).resolves.toEqual([]);
    await expect(throttledOf(here, [list])).resolves.toEqual(new Map());
  });

  it('forgets a method that nobody has called for ten minutes after its reset', async () => {
    await here.observe([rejection]);
    await sources[0].query(
      `UPDATE portals.operating_times
       SET resets_at = now() - interval '11 minutes', next_at = now() + interval '1 hour'`,
    );
    await expect(throttledOf(here, [list])).resolves.toEqual(new Map());
  });

  it('leaves nothing of a portal that was deleted, and tolerates usage samples that come after that', async () => {
    await here.observe([rejection]);
    await sources[0].query(`DELETE FROM portals.portals WHERE member_id = 'm1'`);
    await expect(rows()).resolves.toEqual([]);
    const { log, lines } = keptLog();
    await new PortalRateLimiter(sources[0], log).of('m1').observe([rejection]);
    expect(lines.map(({ level }) => level)).toEqual(['warn']);
  });

  it('counts waits by work and rejections, never by portal', async () => {
    await new PortalLimits(sources[0]).setLimit('m1', 'free');
    await here.admit({ priority: 'background', methods: [] });
    await here.rejected();
    const text = await register.metrics();
    expect(text).toMatch(/relay_rest_wait_seconds_count\{work="bulk"\} [1-9]/);
    expect(text).toMatch(/relay_rest_refused_total [1-9]/);
    expect(text).not.toContain('m1');
  });
});
