import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { databaseOptions, loadMigrations } from '@relay/platform';
import { DataSource } from 'typeorm';
import { freshDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { eventually } from '../../../../test/support/eventually.js';
import { AwaitedEvents, EventDeliveryProbe } from './event-delivery-probe.js';

/** Real: PostgreSQL. Two gateways, of which any may get the event of the tested portal. */
describe('a test of a portal’s events', () => {
  let database: TestDatabase;
  let source: DataSource;
  let gateways: AwaitedEvents[];
  /** What the portal does when it is called. */
  let whenCalled: () => Promise<void>;
  let tests: EventDeliveryProbe;

  beforeAll(async () => {
    database = await freshDatabase(await loadMigrations());
    source = await new DataSource(databaseOptions(database.url, 'spec')).initialize();
    await source.query(
      `INSERT INTO portals.portals (member_id, domain, client_endpoint, state, scope, status)
       SELECT id, id, 'https://portal.example/rest/', 'installed', '{crm}', 'F' FROM unnest('{m1,m2}'::text[]) AS id`,
    );
    gateways = [new AwaitedEvents(source), new AwaitedEvents(source)];
    tests = new EventDeliveryProbe(source, { for: () => ({ call: () => whenCalled() }) });
  });
  afterAll(async () => {
    await source.destroy();
    await database.drop();
  });

  async function isBegun(memberId: string): Promise<void> {
    await eventually(async () => {
      const rows = await source.query<unknown[]>('SELECT FROM portals.event_tests WHERE member_id = $1', [
        memberId,
      ]);
      expect(rows).toHaveLength(1);
    });
  }

  it.each([0, 1])(
    'succeeds with the event at gateway %d, faster than that one hears of the test',
    async (number) => {
      whenCalled = async () => gateways[number]?.onEvent('m1', 'ONAPPTEST');
      await expect(tests.probe('m1')).resolves.toBeGreaterThanOrEqual(0);
    },
  );

  it('counts any event where a person causes it, but not another portal’s', async () => {
    const awaited = tests.waitForAny('m1');
    await isBegun('m1');
    await gateways[0]?.refresh();
    await gateways[0]?.onEvent('m2', 'ONCRMLEADADD');
    await expect(source.query('SELECT arrived_at AS at FROM portals.event_tests')).resolves.toEqual([
      { at: null },
    ]);
    await gateways[0]?.onEvent('m1', 'ONCRMLEADADD');
    await expect(awaited).resolves.toBeGreaterThanOrEqual(0);
  });

  it('leaves nothing behind when the portal rejects', async () => {
    whenCalled = () => Promise.reject(new Error('rejected'));
    await expect(tests.probe('m1')).rejects.toThrow('rejected');
    await expect(source.query('SELECT FROM portals.event_tests')).resolves.toEqual([]);
  });

  it('asks nothing of the database for events of portals that are not tested', async () => {
    await gateways[1]?.refresh();
    await source.query('ALTER TABLE portals.event_tests RENAME TO hidden');
    try {
      await expect(gateways[1]?.onEvent('m1', 'ONCRMLEADADD')).resolves.toBeUndefined();
    } finally {
      await source.query('ALTER TABLE portals.hidden RENAME TO event_tests');
    }
  });
});
