import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { z } from 'zod';
import { freePort } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { askGateway, command } from '../support/operator.js';
import { AppProcess } from '../support/processes.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

const OWN_EVENTS = ['ONAPPTEST', 'ONAPPUNINSTALL', 'ONAPPUPDATE'];
const SLOW_PORTALS = 40;
const DAY = '1 day';

const listed = z.object({
  portals: z.array(
    z.looseObject({
      memberId: z.string(),
      bindings: z.looseObject({ error: z.string().nullable(), note: z.string().nullable() }).nullable(),
    }),
  ),
});

/** Real: gateways, PostgreSQL with the bus in it; for one test name-formatter. Simulated: Bitrix24. */
describe('binding events at portals', () => {
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

  async function install(portal: SimulatedPortal): Promise<void> {
    await portal.install(`${relay.gatewayUrl}/b24/install`);
  }

  async function isBound(portal: SimulatedPortal, events = OWN_EVENTS): Promise<void> {
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toEqual(events.toSorted());
    });
  }

  /** Until so many events were bound, by the clock of the database. */
  async function msFromInstallToBound({ memberId }: SimulatedPortal, events: number): Promise<number> {
    return await eventually(async () => {
      const { rows } = await database.query<{ ms: number; count: number }>(
        `SELECT extract(epoch FROM max(bound_at) - max(installed_at))::float8 * 1000 AS ms, count(*)::int
         FROM portals.portals JOIN portals.event_bindings USING (member_id) WHERE member_id = $1`,
        [memberId],
      );
      expect(rows[0]?.count).toBe(events);
      return rows[0]?.ms ?? Number.NaN;
    });
  }

  /** What a consumer does that records its subscriptions; the gateways look at every portal. */
  async function subscribe(names: string[]): Promise<void> {
    await database.query(`DELETE FROM portals.subscriptions WHERE consumer = 'spec'`);
    await database.query(`INSERT INTO portals.subscriptions SELECT 'spec', unnest($1::text[])`, [names]);
    await lookAtAll();
  }

  async function lookAtAll(): Promise<void> {
    await database.query(`NOTIFY relay_subscriptions, 'spec'`);
  }

  async function bindingsOf({ memberId }: SimulatedPortal) {
    const { portals } = listed.parse(await askGateway(relay, 'GET', '/portals'));
    return portals.find((portal) => portal.memberId === memberId)?.bindings;
  }

  async function attemptsAt({ memberId }: SimulatedPortal): Promise<{ isDue: boolean }[]> {
    const { rows } = await database.query<{ isDue: boolean }>(
      `SELECT next_attempt_at <= now() AS "isDue" FROM portals.binding_attempts WHERE member_id = $1`,
      [memberId],
    );
    return rows;
  }

  describe('of which forty answer after 4 s', () => {
    const slow: SimulatedPortal[] = [];

    beforeAll(async () => {
      for (let number = 0; number < SLOW_PORTALS; number += 1) {
        const portal = await relay.portal(`slow${number}`);
        await install(portal);
        slow.push(portal);
      }
      for (const portal of slow) await isBound(portal);
    });

    it('binds a fresh install within 2 s', async () => {
      await Promise.all(slow.map((portal) => portal.set({ latencyMs: 4_000 })));
      await subscribe(['ONCRMLEADADD']);
      await eventually(async () => {
        const { rows } = await database.query('SELECT FROM portals.binding_attempts');
        expect(rows.length).toBeGreaterThan(SLOW_PORTALS / 2);
      });
      const fresh = await relay.portal('fresh');
      await install(fresh);
      expect(await msFromInstallToBound(fresh, 4)).toBeLessThan(2_000);

      await Promise.all(slow.map((portal) => portal.set({ latencyMs: 0 })));
      for (const portal of [...slow, fresh]) await isBound(portal, [...OWN_EVENTS, 'ONCRMLEADADD']);
    });

    it('asks each of them once, though two control planes look after all, and goes on when the leader is killed', async () => {
      const second = await startSecondControlPlane();
      await Promise.all(slow.map((portal) => portal.clearStatistics()));
      await subscribe(['ONCRMLEADADD', 'ONCRMDEALADD']);
      for (const portal of slow) await isBound(portal, [...OWN_EVENTS, 'ONCRMLEADADD', 'ONCRMDEALADD']);
      for (const portal of slow) {
        const { calls } = await portal.statistics();
        expect([calls['event.get'], calls['event.bind']]).toEqual([1, 1]);
      }
      // The one that started first leads.
      await relay.kill('control-plane');
      const fresh = await relay.portal('installed-meanwhile');
      await install(fresh);
      await isBound(fresh, [...OWN_EVENTS, 'ONCRMLEADADD', 'ONCRMDEALADD']);
      await subscribe([]);
      for (const portal of [...slow, fresh]) await isBound(portal);
      await relay.start('control-plane');
      await second.stop();
    });
  });

  it('lets no failure of before keep a fresh install waiting', async () => {
    const portal = await relay.portal('failing');
    await portal.orderFault('event.get', '500', { times: 100 });
    await install(portal);
    await eventually(async () => {
      expect((await bindingsOf(portal))?.note).toMatch(
        /^online events not bound: the portal answers INTERNAL_/,
      );
    });
    expect(await attemptsAt(portal)).toEqual([{ isDue: false }]);
    await portal.clearFaults();
    await install(portal);
    expect(await msFromInstallToBound(portal, OWN_EVENTS.length)).toBeLessThan(2_000);
    expect((await bindingsOf(portal))?.note).toBeNull();
  });

  it('lets no attempt of before keep a fresh install waiting, nor back it off when it fails after it', async () => {
    const portal = await relay.portal('hanging');
    await portal.orderFault('event.get', 'hang', { ms: 300_000 });
    await install(portal);
    await isAsked(portal);
    await install(portal);
    expect(await msFromInstallToBound(portal, OWN_EVENTS.length)).toBeLessThan(2_000);
    await eventually(async () => expect(await attemptsAt(portal)).toEqual([]));
  });

  it('binds soon what another process is binding', async () => {
    const portal = await relay.portal('contested');
    await portal.orderFault('event.bind', 'invalid', { where: { event: 'ONAPPTEST' }, times: 2 });
    await install(portal);
    expect(await msFromInstallToBound(portal, OWN_EVENTS.length)).toBeLessThan(10_000);
    await isBound(portal);
  });

  it('tells an event out of scope from an unknown one, names the permission, and asks again with another scope', async () => {
    const portal = await relay.portal('scoped', { scope: ['user_brief'] });
    await install(portal);
    await subscribe(['ONCRMCONTACTADD', 'ONNOSUCHEVENT', 'ONTASKADD']);
    await eventually(async () => {
      expect((await bindingsOf(portal))?.note).toBe(
        'ONCRMCONTACTADD not bound: give the application the permission crm; ' +
          'ONTASKADD not bound: give the application the permission task; ' +
          'ONNOSUCHEVENT not bound: the portal does not know it',
      );
    });
    const { screen } = await command(relay, ['portals']);
    expect(screen).toContain('ONTASKADD not bound: give the application the permission task');
    expect(relay.log()).toMatch(
      /"eventName":"ONTASKADD","permission":"task".*the application lacks the permission/,
    );

    await portal.set({ scope: ['user_brief', 'task'] });
    await portal.expireTokens();
    await askGateway(relay, 'POST', `/portals/${portal.memberId}/test`);
    await lookAtAll();
    await isBound(portal, [...OWN_EVENTS, 'ONTASKADD']);
    await eventually(async () => expect((await bindingsOf(portal))?.note).not.toContain('ONTASKADD'));
    await subscribe([]);
  });

  it('asks every day for what a portal did not know', async () => {
    const portal = await relay.portal('growing', { scope: ['user_brief'] });
    await install(portal);
    await subscribe(['ONTASKADD']);
    await eventually(async () => expect((await bindingsOf(portal))?.note).toContain('ONTASKADD'));
    // The application's tokens do not say so yet.
    await portal.set({ scope: ['user_brief', 'task'] });
    await portal.clearStatistics();
    await lookAtAll();
    const other = await relay.portal('newer', { scope: ['user_brief', 'task'] });
    await install(other);
    await isBound(other, [...OWN_EVENTS, 'ONTASKADD']);
    expect((await portal.statistics()).calls['event.bind'] ?? 0).toBe(0);

    await database.query(
      `UPDATE portals.event_bindings SET bound_at = bound_at - $2::interval WHERE member_id = $1`,
      [portal.memberId, DAY],
    );
    await lookAtAll();
    await isBound(portal, [...OWN_EVENTS, 'ONTASKADD']);
    await subscribe([]);
  });

  it('runs with an address that portals reject, says so of each, and binds at once at another', async () => {
    const portal = await relay.portal('strict');
    const { port } = new URL(relay.gatewayUrl);
    await relay.restart({ PUBLIC_URL: `http://localhost:${port}` });
    await install(portal);
    await eventually(async () => {
      expect((await bindingsOf(portal))?.note).toMatch(
        /^online events not bound: the portal takes no handler at the host of PUBLIC_URL, which must have a dot, next try /,
      );
    });
    expect(relay.log()).toContain('the host of PUBLIC_URL has no dot');
    await relay.restart();
    await isBound(portal);
    await eventually(async () => expect((await bindingsOf(portal))?.note).toBeNull());
    // Four processes start meanwhile.
  }, 240_000);

  it('keeps the basic event of a portal without suffixed ones, also after an update of the application', async () => {
    const [basic, suffixed] = ['ONCRMDYNAMICITEMADD', 'ONCRMDYNAMICITEMADD_147'];
    const types = [{ entityTypeId: 147, title: 'Deliveries' }];
    const portal = await relay.portal('basic', { types, suffixedEvents: false });
    await install(portal);
    await subscribe([suffixed]);
    await isBound(portal, [...OWN_EVENTS, basic]);
    await portal.clearStatistics();
    await portal.updateApplication();
    await eventually(async () => {
      const { rows } = await database.query(
        `SELECT FROM portals.event_bindings WHERE member_id = $1 AND name = $2 AND state = 'bound'`,
        [portal.memberId, basic],
      );
      expect(rows).toHaveLength(1);
      expect((await portal.statistics()).calls['event.get']).toBeGreaterThan(0);
    });
    await isBound(portal, [...OWN_EVENTS, basic]);
    expect((await portal.statistics()).calls['event.unbind'] ?? 0).toBe(0);
    await subscribe([]);
    await isBound(portal);
  });

  describe('compared with what the portal has', () => {
    const foreign = 'https://somebody.example.org/hook';
    const queued = 'ONCRMDEALADD';
    let portal: SimulatedPortal;

    beforeAll(async () => {
      portal = await relay.portal('drifting', { rate: 50, burst: 500 });
      await install(portal);
      await subscribe([queued]);
      await isBound(portal, [...OWN_EVENTS, queued]);
      await portal.bindHandler(queued, foreign);
    }, 60_000);
    afterAll(async () => {
      await database.query(`DELETE FROM portals.subscriptions WHERE consumer = 'offline-puller'`);
      await subscribe([]);
    });

    /** Its moment of the day has come. */
    async function compareNow(): Promise<void> {
      await eventually(async () => {
        const { rowCount } = await database.query(
          'UPDATE portals.drift_checks SET next_check_at = now() WHERE member_id = $1',
          [portal.memberId],
        );
        await lookAtAll();
        expect(rowCount).toBe(1);
      });
    }

    async function lastCheck() {
      const { rows } = await database.query<{ found: string; nextInS: number }>(
        `SELECT format('%s missing, %s surplus, %s foreign', missing, surplus, foreign_handlers) AS found,
           extract(epoch FROM next_check_at - checked_at)::float8 AS "nextInS"
         FROM portals.drift_checks WHERE member_id = $1 AND checked_at IS NOT NULL`,
        [portal.memberId],
      );
      return rows[0];
    }

    async function isFound(found: string): Promise<void> {
      await eventually(async () => expect((await lastCheck())?.found).toBe(found));
    }

    it('is as wanted, in one request', async () => {
      await portal.clearStatistics();
      await compareNow();
      // The other one is that of the install, at an address of its own.
      await isFound('0 missing, 0 surplus, 2 foreign');
      expect((await lastCheck())?.nextInS).toBeLessThanOrEqual(24 * 3_600);
      await eventually(async () => expect((await portal.statistics()).calls).toEqual({ 'event.get': 1 }));
      expect(await relay.metric('control-plane', 'relay_subscription_drift_portals')).toBe(0);
    });

    it('has all handlers again that somebody deleted, and is counted, logged and listed until it is as wanted', async () => {
      await portal.dropHandlers();
      await portal.bindHandler(queued, foreign);
      await portal.clearStatistics();
      await compareNow();
      await isBound(portal, [...OWN_EVENTS, queued]);
      await isFound('4 missing, 0 surplus, 1 foreign');
      // The look, one more under the claim of the binding, and one batch.
      expect((await portal.statistics()).requests).toBe(3);
      expect((await lastCheck())?.nextInS).toBeLessThanOrEqual(3_600);
      expect(relay.log()).toMatch(
        /"event":"bindings.drift.found","memberId":"\w+","missing":4,"surplus":0,"foreign":1/,
      );
      await lookAtAll();
      await eventually(async () => {
        expect(await relay.metric('control-plane', 'relay_subscription_drift_portals')).toBe(1);
      });
      expect((await command(relay, ['portals'])).screen).toContain(
        '4 handlers missing at its comparison of ',
      );

      await compareNow();
      await isFound('0 missing, 0 surplus, 1 foreign');
      await lookAtAll();
      await eventually(async () => {
        expect(await relay.metric('control-plane', 'relay_subscription_drift_portals')).toBe(0);
      });
      expect(await portal.eventsBoundTo(foreign)).toEqual([queued]);
    });

    it('is shown and put right at once by commands, with its offline handlers', async () => {
      await database.query(
        `INSERT INTO portals.subscriptions (consumer, name) VALUES ('offline-puller', 'ONOFFLINEEVENT')`,
      );
      await command(relay, ['portals', 'mode', portal.memberId, 'both']);
      await isBound(portal, [...OWN_EVENTS, queued, 'ONOFFLINEEVENT']);
      await eventually(async () => expect(await portal.eventsBoundOffline()).toEqual([queued]));
      await portal.dropHandlers();
      await portal.bindHandler(queued, foreign);
      const gone = `${relay.gatewayUrl}/b24/events`;
      await portal.bindHandler('ONCRMLEADADD', gone);
      await portal.bindHandler('ONCRMLEADADD');

      const shown = await command(relay, ['subscriptions', 'diff', portal.name]);
      expect(shown.code).toBe(1);
      for (const line of [
        `missing  ${queued}\n`,
        `missing  ${queued}  offline\n`,
        `surplus  ONCRMLEADADD  ${gone}\n`,
        'surplus  ONCRMLEADADD  offline\n',
        '1 handler at other addresses, not ours: left alone',
      ])
        expect(shown.screen).toContain(line);
      // Nothing was done.
      expect(await portal.eventsBoundTo(gone)).toEqual(['ONCRMLEADADD']);

      const domain = `${portal.name}.${new URL(relay.outside.url).host}`;
      const applied = await command(relay, ['subscriptions', 'apply', domain, '--json']);
      expect(applied.code).toBe(0);
      expect(JSON.parse(applied.screen)).toEqual([
        {
          memberId: portal.memberId,
          domain,
          bound: [...OWN_EVENTS, queued, 'ONOFFLINEEVENT'].toSorted(),
          unbound: [{ event: 'ONCRMLEADADD', handler: gone }],
          boundOffline: [queued],
          unboundOffline: ['ONCRMLEADADD'],
          foreign: 1,
          unreadable: 0,
        },
      ]);
      await isBound(portal, [...OWN_EVENTS, queued, 'ONOFFLINEEVENT']);
      expect(await portal.eventsBoundOffline()).toEqual([queued]);
      expect(await portal.eventsBoundTo(foreign)).toEqual([queued]);

      const after = await command(relay, ['subscriptions', 'diff', portal.memberId]);
      expect(after).toMatchObject({ code: 0, screen: expect.stringContaining('as wanted') });
      const all = await command(relay, ['subscriptions', 'diff', '--json']);
      expect(all.screen).toContain(portal.memberId);
    }, 60_000);

    it('says of a portal that does not let itself be put right what it answered', async () => {
      await portal.dropHandlers();
      await portal.orderFault('event.bind', '500', { times: 100 });
      const failed = await command(relay, ['subscriptions', 'apply', portal.memberId]);
      expect(failed).toMatchObject({
        code: 1,
        screen: expect.stringMatching(/It did not work: .*INTERNAL_/),
      });
      await portal.clearFaults();
      await portal.bindHandler(queued, foreign);
      const applied = await command(relay, ['subscriptions', 'apply', portal.memberId]);
      expect(applied.code).toBe(0);
      await isBound(portal, [...OWN_EVENTS, queued, 'ONOFFLINEEVENT']);
      const unknown = await command(relay, ['subscriptions', 'apply', 'nobody']);
      expect(unknown).toMatchObject({
        code: 1,
        screen: expect.stringContaining('There is no portal nobody'),
      });
    }, 60_000);

    it('keeps nothing at a former PUBLIC_URL that could not be unbound there, and everything of others', async () => {
      const { port } = new URL(relay.gatewayUrl);
      const former = `${relay.gatewayUrl}/b24/events`;
      await portal.orderFault('event.unbind', 'denied', { times: 1_000 });
      const elsewhere = `http://127.0.0.2:${port}`;
      await relay.restart({ PUBLIC_URL: elsewhere });
      const expected = [...OWN_EVENTS, queued, 'ONOFFLINEEVENT'].toSorted();
      await eventually(async () =>
        expect(await portal.eventsBoundTo(`${elsewhere}/b24/events`)).toEqual(expected),
      );
      expect(await portal.eventsBoundTo(former)).toEqual(expected);
      await portal.clearFaults();
      // Meanwhile nobody wants it any more.
      await subscribe([]);
      await compareNow();
      await eventually(async () => expect(await portal.eventsBoundTo(former)).toEqual([]));
      expect(await portal.eventsBoundTo(foreign)).toEqual([queued]);
      await relay.restart();
      await eventually(async () => expect(await portal.eventsBoundTo(`${elsewhere}/b24/events`)).toEqual([]));
      expect(await portal.eventsBoundTo(foreign)).toEqual([queued]);
    }, 240_000);
  });

  async function startSecondControlPlane(): Promise<AppProcess> {
    const opsPort = await freePort();
    const second = AppProcess.start('second control plane', 'apps/control-plane/src/main.js', {
      ...relay.env,
      OPS_PORT: String(opsPort),
    });
    await second.ready(`http://127.0.0.1:${opsPort}/health/ready`);
    return second;
  }
});

/** Until a gateway has asked it, which it may not have answered. */
async function isAsked(portal: SimulatedPortal): Promise<void> {
  await eventually(async () => expect((await portal.statistics()).calls['event.get']).toBeGreaterThan(0));
}
