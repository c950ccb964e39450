import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { eventually } from '../support/eventually.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

const OWN_EVENTS = ['ONAPPTEST', 'ONAPPUNINSTALL', 'ONAPPUPDATE'];

/** Real: the gateway, killed while a portal has it wait; PostgreSQL. Simulated: Bitrix24. */
describe('a portal in whose answer the gateway dies', () => {
  let relay: Relay;
  let database: pg.Pool;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', [], { apart: [['control-plane']] });
    database = new pg.Pool({ connectionString: relay.env['DATABASE_URL'], max: 2 });
  }, 240_000);
  afterAll(async () => {
    await database?.end();
    await relay?.stop();
  }, 120_000);

  async function boundAt(portal: SimulatedPortal): Promise<string[]> {
    return await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`);
  }

  /** Portals that are asked just now, or were when the gateway ended. */
  async function attempted(): Promise<string[]> {
    const { rows } = await database.query<{ memberId: string }>(
      'SELECT member_id AS "memberId" FROM portals.binding_attempts',
    );
    return rows.map(({ memberId }) => memberId);
  }

  it('is not asked again right after the restart, while the others are', async () => {
    const [hostile, other] = [await relay.portal('hostile'), await relay.portal('other')];
    await other.install(`${relay.gatewayUrl}/b24/install`);
    await eventually(async () => expect(await boundAt(other)).toEqual(OWN_EVENTS));
    await hostile.orderFault('event.get', 'hang', { ms: 600_000, times: 3 });
    await hostile.install(`${relay.gatewayUrl}/b24/install`);
    await eventually(async () => expect(await timesAsked(hostile)).toBe(1));

    for (const event of ['ONCRMLEADADD', 'ONCRMDEALADD']) {
      await relay.kill('control-plane');
      expect(await attempted()).toEqual([hostile.memberId]);
      // However long the restarts take here.
      await database.query(
        `UPDATE portals.binding_attempts SET next_attempt_at = next_attempt_at + interval '1 h'`,
      );
      await database.query(`INSERT INTO portals.subscriptions VALUES ('spec', $1)`, [event]);
      await relay.start('control-plane');
      await eventually(async () => expect(await boundAt(other)).toContain(event));
      await eventually(async () => expect(await attempted()).toEqual([hostile.memberId]));
      expect(await timesAsked(hostile)).toBe(1);
    }
  });

  it('is asked again when its time has come, with a longer pause behind it', async () => {
    const [hostile] = (
      await database.query<{ memberId: string }>(
        `UPDATE portals.binding_attempts SET next_attempt_at = now() RETURNING member_id AS "memberId"`,
      )
    ).rows;
    await database.query(`NOTIFY relay_subscriptions, 'spec'`);
    await eventually(async () => {
      const { rows } = await database.query<{ attempts: number; waitS: number }>(
        `SELECT attempts, extract(epoch FROM next_attempt_at - now())::float8 AS "waitS"
         FROM portals.binding_attempts WHERE member_id = $1`,
        [hostile?.memberId],
      );
      expect(rows).toEqual([{ attempts: 2, waitS: expect.any(Number) }]);
      expect(rows[0]?.waitS).toBeGreaterThan(40);
    });
  });
});

async function timesAsked(portal: SimulatedPortal): Promise<number> {
  return (await portal.statistics()).calls['event.get'] ?? 0;
}
