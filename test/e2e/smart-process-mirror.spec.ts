import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { hasBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { startRelay, type BusKind, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

const typeId = 147;

/** Real: every app as built, PostgreSQL, RabbitMQ. Simulated: Bitrix24. */
describe.each<BusKind>(hasBroker ? ['RabbitMQ', 'PostgreSQL'] : ['PostgreSQL'])('the mirror on %s', (bus) => {
  let relay: Relay;
  let portal: SimulatedPortal;
  let database: pg.Client;

  beforeAll(async () => {
    relay = await startRelay(bus, ['smart-process-sync']);
    portal = await relay.portal('acme', { types: [{ entityTypeId: typeId, title: 'Deliveries' }] });
    database = new pg.Client({ connectionString: relay.env['DATABASE_URL'] });
    await database.connect();
    await portal.install(`${relay.gatewayUrl}/b24/install`);
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMDYNAMICITEMADD');
    });
  }, 240_000);
  afterAll(async () => {
    await database?.end();
    await relay?.stop();
  }, 120_000);

  async function mirrored(id: number): Promise<unknown> {
    const { rows } = await database.query(
      `SELECT member_id, entity_type_id, title, fields->>'title' AS "titleInFields", deleted_at IS NOT NULL AS deleted
       FROM mirror.items WHERE item_id = $1`,
      [id],
    );
    return rows[0];
  }

  it('follows an item from its making to its end', async () => {
    const row = { member_id: portal.memberId, entity_type_id: typeId, deleted: false };
    const { id } = await portal.add(typeId, { title: 'Desk lamps' });
    await eventually(async () => {
      expect(await mirrored(id)).toEqual({ ...row, title: 'Desk lamps', titleInFields: 'Desk lamps' });
    });
    await portal.change(typeId, id, { title: 'Desk lamps, 40 pieces' });
    await eventually(async () => {
      expect(await mirrored(id)).toMatchObject({ title: 'Desk lamps, 40 pieces', deleted: false });
    });
    await portal.remove(typeId, id);
    await eventually(async () => expect(await mirrored(id)).toMatchObject({ deleted: true }));
  }, 240_000);
});
