import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { z } from 'zod';
import { eventually } from '../support/eventually.js';
import { askGateway, command } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import { contactTypeId, type SimulatedPortal } from '../support/simulated-portal.js';

const consumers = z.object({
  consumers: z.array(
    z.looseObject({ consumer: z.string(), shardsServed: z.number(), processes: z.array(z.unknown()) }),
  ),
});

/** Every key that some version has taken for the bus, and those that anybody would try. Taken where they are free. */
const TAKE_LOCKS_SQL = `
  SELECT
    (SELECT count(pg_try_advisory_lock(hashtextextended('b24.bus.name-formatter.' || shard, 0))) FROM generate_series(0, 15) AS shard),
    pg_try_advisory_lock(hashtextextended('b24.care.name-formatter', 0)),
    pg_try_advisory_lock(hashtextextended('b24.care.unrouted events', 0)),
    pg_try_advisory_lock(hashtext('portals.subscriptions'), hashtext('name-formatter')),
    (SELECT count(pg_try_advisory_lock(key)) FROM generate_series(-64, 64) AS key),
    (SELECT count(pg_try_advisory_lock(one, other)) FROM generate_series(0, 7) AS one, generate_series(0, 15) AS other)`;

/** Real: every app as built, PostgreSQL with the bus in it, and a user of it who may only connect. Simulated: Bitrix24. */
describe('a user of the database who may do nothing but connect', () => {
  const role = `relay_stranger_${randomBytes(6).toString('hex')}`;
  let relay: Relay;
  let portal: SimulatedPortal;
  let stranger: pg.Client;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', [], { apart: [['name-formatter']] });
    const password = randomBytes(16).toString('hex');
    await asOwner(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`);
    const url = new URL(relay.env['DATABASE_URL'] ?? '');
    [url.username, url.password] = [role, password];
    stranger = new pg.Client({ connectionString: url.href });
    await stranger.connect();
    await stranger.query(TAKE_LOCKS_SQL);

    await relay.start('name-formatter');
    portal = await relay.portal('acme', { rate: 1_000, burst: 10_000 });
    await portal.install(`${relay.gatewayUrl}/b24/install`);
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTADD');
    });
  }, 120_000);
  afterAll(async () => {
    await stranger?.end();
    if (relay) await asOwner(`DROP ROLE IF EXISTS ${role}`);
    await relay?.stop();
  }, 60_000);

  async function asOwner(sql: string): Promise<void> {
    const owner = new pg.Client({ connectionString: relay.env['DATABASE_URL'] });
    await owner.connect();
    try {
      await owner.query(sql);
    } finally {
      await owner.end();
    }
  }

  async function eventsFlow(): Promise<void> {
    const { id } = await portal.add(contactTypeId, { name: 'jOHN', secondName: '', lastName: "o'NEIL" });
    await eventually(
      async () =>
        expect(await portal.item(contactTypeId, id)).toMatchObject({ name: 'John', lastName: "O'Neil" }),
      { timeoutMs: 30_000, everyMs: 100 },
    );
  }

  it('holds every lock, and events flow, also after a kill in which he takes those that become free', async () => {
    await eventsFlow();
    await relay.kill('name-formatter');
    await eventually(async () => {
      const { rows } = await stranger.query<{ holders: number }>(
        `SELECT count(DISTINCT pid)::int AS holders FROM pg_locks
         WHERE locktype = 'advisory' AND pid <> pg_backend_pid()
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
      );
      expect(rows[0]?.holders).toBe(0);
    });
    await stranger.query(TAKE_LOCKS_SQL);
    await relay.start('name-formatter');
    await eventsFlow();
  }, 90_000);

  it('keeps no operator from looking at the bus, which says who serves it', async () => {
    await eventually(async () => {
      const { consumers: listed } = consumers.parse(await askGateway(relay, 'GET', '/consumers'));
      expect(listed).toMatchObject([
        { consumer: 'name-formatter', shardsServed: 16, processes: [expect.anything()] },
      ]);
    });
    expect(await command(relay, ['dead', 'list'])).toMatchObject({ code: 0 });
    expect((await command(relay, ['consumer', 'retire', 'name-formatter'])).screen).toContain('process');
  }, 60_000);

  it('cannot pass for a consumer: a bus that nobody serves says so', async () => {
    await relay.end('name-formatter');
    await eventually(async () => {
      const { consumers: listed } = consumers.parse(await askGateway(relay, 'GET', '/consumers'));
      expect(listed).toMatchObject([{ consumer: 'name-formatter', shardsServed: 0 }]);
    });
    expect(await command(relay, ['consumer', 'retire', 'name-formatter'])).toMatchObject({ code: 0 });
  }, 60_000);
});
