import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { clear, PortalsDatabase } from '../test/portals-database.js';
import { PortalRegistry } from './portal-registry.js';
import { RateBucket } from './rate-bucket.js';

/** Ten a second and a burst of forty: as the real one, in a fifth of the time. */
const limit = { rate: 10, burst: 40 };
const free = limit.burst - 2 * limit.rate;

describe('RateBucket', () => {
  let database: PortalsDatabase;
  let sources: DataSource[];

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    sources = [await database.connect(), await database.connect(), await database.connect()];
  });
  beforeEach(async () => {
    const [source] = sources;
    if (!source) throw new Error('no database');
    await clear(source);
    const registry = new PortalRegistry(source, database.box, []);
    for (const memberId of ['m1', 'm2']) {
      const webhookUrl = 'https://one.bitrix24.com/rest/1/secret/';
      await registry.registerWebhook({ memberId, domain: 'one', webhookUrl, applicationToken: memberId });
    }
  });
  afterAll(() => database.close());

  /** When each of `count` requests was let through, in milliseconds from the start; by several processes' pools. */
  async function times(count: number, memberId = 'm1'): Promise<number[]> {
    const buckets = sources.map((source) => new RateBucket(source, limit));
    const startedAt = performance.now();
    const takes = Array.from({ length: count }, async (_, index) => {
      await buckets[index % buckets.length]?.take(memberId);
      return performance.now() - startedAt;
    });
    return (await Promise.all(takes)).toSorted((a, b) => a - b);
  }

  it('lets a burst through at once, and then the rate, for all processes together', async () => {
    const count = free + 10;
    const passed = await times(count);
    expect(passed[free - 1]).toBeLessThan(900);
    // The tenth after the burst comes a second later: never sooner, and not much later.
    expect(passed[count - 1]).toBeGreaterThan(900);
    expect(passed[count - 1]).toBeLessThan(2_000);
  });

  it('never lets more through than Bitrix24 allows, leaking in steps once a second', async () => {
    const passed = await times(free + 15);
    let level = 0;
    let second = 0;
    for (const ms of passed) {
      for (; second < Math.floor(ms / 1_000); second += 1) level = Math.max(0, level - limit.rate);
      level += 1;
      expect(level).toBeLessThanOrEqual(limit.burst);
    }
  });

  it('keeps portals apart', async () => {
    await times(free);
    const [first] = await times(1, 'm2');
    expect(first).toBeLessThan(500);
  });

  it('stops waiting when the signal says so', async () => {
    await times(free);
    const [source] = sources;
    const take =
      source && new RateBucket(source, { rate: 0.01, burst: 0.02 }).take('m1', AbortSignal.timeout(50));
    await expect(take).rejects.toThrow('aborted');
  });
});
