import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { eventually } from '../support/eventually.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

/** Real: the apps as built, PostgreSQL. Simulated: two portals, of which one knows how the views of the other are called. */
describe('the view of a portal', () => {
  let relay: Relay;
  let database: pg.Client;
  let intruder: SimulatedPortal;
  let owner: SimulatedPortal;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', ['smart-process-sync']);
    database = new pg.Client({ connectionString: relay.env['DATABASE_URL'] });
    await database.connect();
    // `acme` and `x_orders` come to the same as `acme-x` and `orders`.
    intruder = await installed('acme', 'X_ORDERS');
    expect(await viewsOf(intruder)).toEqual(['acme_x_orders']);
    owner = await installed('acme-x', 'ORDERS');
  }, 120_000);
  afterAll(async () => {
    await database?.end();
    await relay?.stop();
  }, 60_000);

  async function installed(name: string, code: string): Promise<SimulatedPortal> {
    const portal = await relay.portal(name, { types: [{ entityTypeId: 147, title: 'Orders', code }] });
    await portal.add(147, { title: `an order of ${name}` });
    await portal.install(`${relay.gatewayUrl}/b24/install`);
    await eventually(async () => expect(await viewsOf(portal)).toHaveLength(1));
    return portal;
  }

  async function viewsOf({ memberId }: SimulatedPortal): Promise<string[]> {
    const { rows } = await database.query<{ name: string }>(
      `SELECT view_name AS name FROM mirror.types WHERE member_id = $1 AND view_name IS NOT NULL ORDER BY entity_type_id`,
      [memberId],
    );
    return rows.map(({ name }) => name);
  }

  it('whose name another has taken gets one that no texts can make', async () => {
    const [name] = await viewsOf(owner);
    expect(name).toMatch(/^_acme_x_orders_[0-9a-f]{16}$/);
    const codes = [`${name}`, `${name}`.slice(1), `.${name}`, `/../${name}`, `"; ${name}`, '_', ''];
    for (const [at, code] of codes.entries()) {
      await intruder.crm.addType({ entityTypeId: 150 + at, title: 'Orders', code });
    }
    await eventually(async () => expect(await viewsOf(intruder)).toHaveLength(codes.length + 1));
    expect((await viewsOf(intruder)).filter((view) => !/^acme_[a-z0-9_]+$/.test(view))).toEqual([]);
    const { rows } = await database.query(`SELECT title FROM mirror."${name}"`);
    expect(rows).toEqual([{ title: 'an order of acme-x' }]);
  });

  it('has it again after it was away', async () => {
    const [name] = await viewsOf(owner);
    await owner.crm.removeType(147);
    await eventually(async () => expect(await viewsOf(owner)).toEqual([]));
    await owner.crm.addType({ entityTypeId: 147, title: 'Orders', code: 'ORDERS' });
    await eventually(async () => expect(await viewsOf(owner)).toEqual([name]));
  });
});
