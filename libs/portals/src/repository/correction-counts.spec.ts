import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { PortalsDatabase } from '../../test/portals-database.js';
import { CorrectionCounts } from './correction-counts.js';

describe('counts of corrections', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let counts: CorrectionCounts;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    counts = new CorrectionCounts(source);
    await source.query(
      `INSERT INTO portals.portals (member_id, domain, client_endpoint, state, scope, status)
       SELECT id, 'one.example', 'https://one.example/rest/', 'installed', '{}', 'L' FROM unnest($1::text[]) id`,
      [['one', 'other']],
    );
  });
  afterAll(() => database.close());

  const daysAgo = (days: number) =>
    source.query(
      `UPDATE portals.correction_counts SET day = day - $1::int WHERE member_id = 'one' AND consumer = 'names'`,
      [days],
    );
  const totals = async () => [await counts.total('one', 'names', 7), await counts.total('one', 'names', 30)];

  it('are summed over whole days, for each portal and consumer', async () => {
    await counts.add('one', 'names', 2);
    await counts.add('one', 'names', 3);
    await counts.add('one', 'phones', 10);
    await counts.add('other', 'names', 20);
    expect(await totals()).toEqual([5, 5]);
    await daysAgo(6);
    expect(await totals()).toEqual([5, 5]);
    await daysAgo(1);
    expect(await totals()).toEqual([0, 5]);
  });

  it('are forgotten after a month, with the next one', async () => {
    await daysAgo(24);
    await counts.add('one', 'names', 1);
    const rows = await source.query<object[]>(
      `SELECT count FROM portals.correction_counts WHERE member_id = 'one' AND consumer = 'names'`,
    );
    expect(rows).toEqual([{ count: 1 }]);
  });

  it('of processes that count at the same time all count', async () => {
    const pools = await Promise.all([database.connect(), database.connect()]);
    const before = await counts.total('one', 'names', 1);
    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        new CorrectionCounts(pools[i % 2] ?? source).add('one', 'names', 1),
      ),
    );
    expect(await counts.total('one', 'names', 1)).toBe(before + 20);
  });

  it('of a portal that is unknown are ignored', async () => {
    await counts.add('nobody', 'names', 1);
    expect(await counts.total('nobody', 'names', 7)).toBe(0);
  });
});
