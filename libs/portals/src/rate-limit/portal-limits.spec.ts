import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { silentLog } from '@relay/platform';
import type { DataSource } from 'typeorm';
import { clear, PortalsDatabase } from '../../test/portals-database.js';
import { PortalRepository } from '../repository/portal-repository.js';
import { DatabaseBucket } from './database-bucket.js';
import { type GivenLimit, PortalLimits } from './portal-limits.js';

describe('PortalLimits', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let limits: PortalLimits;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    limits = new PortalLimits(source);
  });
  beforeEach(async () => {
    await clear(source);
    const webhookUrl = 'https://one.bitrix24.com/rest/1/secret/';
    await new PortalRepository(source, database.box, [], silentLog).registerWebhook({
      memberId: 'm1',
      webhookUrl,
      applicationToken: 't',
    });
  });
  afterAll(() => database.close());

  const bucket = (): DatabaseBucket => new DatabaseBucket(source, 'm1', silentLog);

  async function waitMs(): Promise<number> {
    const taken = await bucket().take('interactive');
    if (!taken.granted) throw new Error('interactive work always gets a ticket');
    return taken.waitMs;
  }

  it('is the usual one until somebody says otherwise, and again after that', async () => {
    await expect(limits.limitOf('m1')).resolves.toEqual({ rate: 2, burst: 50 });
    await limits.setLimit('m1', 'enterprise');
    await expect(limits.limitOf('m1')).resolves.toEqual({ rate: 5, burst: 250 });
    await limits.setLimit('m1', { rate: 2.5, burst: 70 });
    await expect(limits.limitOf('m1')).resolves.toEqual({ rate: 2.5, burst: 70 });
    await limits.setLimit('m1', 'free');
    await expect(limits.limitOf('m1')).resolves.toBe('free');
    await limits.setLimit('m1', 'usual');
    await expect(limits.limitOf('m1')).resolves.toEqual({ rate: 2, burst: 50 });
  });

  it('holds for the next request, and what was counted before stays counted', async () => {
    for (let index = 0; index < 145; index += 1) await bucket().take('interactive');
    // A hundred tickets behind the burst allowance of 46, at two a second.
    expect(await waitMs()).toBeGreaterThan(25_000);
    await limits.setLimit('m1', { rate: 20, burst: 80 });
    // The allowance is 40 now, and the earlier tickets leak ten times as fast.
    expect(await waitMs()).toBeLessThan(5_500);
    expect(await waitMs()).toBeGreaterThan(100);
  });

  it('lets everything through at a portal without limit, whatever the work, without asking each time', async () => {
    await limits.setLimit('m1', 'free');
    const free = bucket();
    for (let index = 0; index < 200; index += 1) {
      await expect(free.take('background')).resolves.toMatchObject({ granted: true, waitMs: 0 });
    }
    const [row] = await source.query<{ places: number }[]>('SELECT places FROM portals.rate_buckets');
    expect(row?.places).toBeLessThanOrEqual(1);
    await bucket().throttleDown();
    await limits.setLimit('m1', 'usual');
    await expect(bucket().take('interactive')).resolves.toMatchObject({ waitMs: 0 });
  });

  it('rejects what is no limit, and portals that nobody knows', async () => {
    const bad: GivenLimit[] = [
      { rate: 0, burst: 50 },
      { rate: 2, burst: -1 },
      { rate: NaN, burst: 50 },
      { rate: 2, burst: Infinity },
    ];
    for (const each of bad) await expect(limits.setLimit('m1', each)).rejects.toThrow(RangeError);
    await expect(limits.setLimit('unknown', 'usual')).rejects.toMatchObject({ code: 'NOT_INSTALLED' });
    await expect(limits.limitOf('m1')).resolves.toEqual({ rate: 2, burst: 50 });
  });
});
