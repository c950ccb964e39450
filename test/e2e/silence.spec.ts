import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import pg from 'pg';
import { Webhook } from 'standardwebhooks';
import { z } from 'zod';
import { CuttableLink } from '../support/cuttable-link.js';
import { eventually } from '../support/eventually.js';
import { command, listedPortal } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import { contactTypeId, type SimulatedPortal } from '../support/simulated-portal.js';
import { control } from '../support/simulator-control.js';

const SECRET = `whsec_${randomBytes(32).toString('base64')}`;
const address = z.object({ port: z.number() });
const alert = z.object({
  type: z.string(),
  data: z.object({ status: z.string(), alerts: z.array(z.object({ subject: z.string() })) }),
});
const notifications = z.array(z.object({ userId: z.number(), type: z.string(), message: z.string() }));

const change = (portal: SimulatedPortal) => portal.add(contactTypeId, { name: 'Ann' });
const calls = async (portal: SimulatedPortal) => (await portal.statistics()).calls['event.test'] ?? 0;

/** Real: gateway and control plane, PostgreSQL with the bus in it, a receiver of notifications; for the time that passes its columns are set back. Simulated: Bitrix24. */
describe('a portal whose events are blocked in front of the gateway', () => {
  let relay: Relay;
  let database: pg.Pool;
  /** The portals' way to the gateway. */
  let front: CuttableLink;
  let settings: Record<string, string>;
  let received: { headers: Record<string, string>; body: string }[];
  const receiver = createServer((request, response) => {
    void text(request).then((body) => {
      received.push({ headers: z.record(z.string(), z.string()).parse(request.headers), body });
      return response.end();
    });
  });

  beforeAll(async () => {
    received = [];
    receiver.listen(0, '127.0.0.1');
    await once(receiver, 'listening');
    const host = `127.0.0.1:${address.parse(receiver.address()).port}`;
    relay = await startRelay('PostgreSQL', []);
    front = await CuttableLink.to(Number(new URL(relay.gatewayUrl).port));
    settings = {
      PUBLIC_URL: front.url,
      NOTIFY_URL: `http://${host}/hook`,
      NOTIFY_SECRET: SECRET,
      NOTIFY_ALLOW_HOSTS: host,
      NOTIFY_PORTALS: 'true',
    };
    await relay.restart(settings);
    database = new pg.Pool({ connectionString: relay.env['DATABASE_URL'], max: 2 });
    await database.query(
      `INSERT INTO portals.subscriptions (consumer, name) VALUES ('spec', 'ONCRMCONTACTADD')`,
    );
  }, 240_000);
  afterAll(async () => {
    await database?.end();
    await front?.cut();
    await relay?.stop();
    receiver.closeAllConnections();
    receiver.close();
  }, 120_000);

  async function install(name: string): Promise<SimulatedPortal> {
    const portal = await relay.portal(name, { scope: ['crm', 'im'] });
    await portal.install(`${relay.gatewayUrl}/b24/install`);
    await eventually(async () => {
      await database.query(`NOTIFY relay_subscriptions, 'spec'`);
      expect(await portal.eventsBoundTo(`${front.url}/b24/events`)).toContain('ONCRMCONTACTADD');
    });
    return portal;
  }

  async function isWatched({ memberId }: SimulatedPortal): Promise<void> {
    await eventually(
      async () => {
        const { rowCount } = await database.query(
          `SELECT FROM portals.reachability JOIN portals.event_arrivals USING (member_id)
         WHERE member_id = $1 AND event_at IS NOT NULL`,
          [memberId],
        );
        expect(rowCount).toBe(1);
      },
      { timeoutMs: 60_000 },
    );
  }

  /** As if so much time had passed for the portal. */
  async function pass({ memberId }: SimulatedPortal, interval: string): Promise<void> {
    await database.query(
      `WITH arrivals AS (UPDATE portals.event_arrivals SET heard_at = heard_at - $2::interval, event_at = event_at - $2::interval WHERE member_id = $1),
         installs AS (UPDATE portals.portals SET installed_at = installed_at - $2::interval WHERE member_id = $1)
       UPDATE portals.reachability SET watched_since = watched_since - $2::interval, missed_at = missed_at - $2::interval,
         tested_at = tested_at - $2::interval, next_check_at = next_check_at - $2::interval WHERE member_id = $1`,
      [memberId, interval],
    );
  }

  async function failedTests({ memberId }: SimulatedPortal): Promise<number> {
    const { rows } = await database.query<{ count: number }>(
      'SELECT failed_tests AS count FROM portals.reachability WHERE member_id = $1',
      [memberId],
    );
    return rows[0]?.count ?? 0;
  }

  /** For the message of a failure: what the looks at the portal have to go by, and its job. */
  async function knownOf({ memberId }: SimulatedPortal): Promise<string> {
    const { rows } = await database.query<{ known: string }>(
      `SELECT concat_ws(E'\\n', now(), row_to_json(r), row_to_json(a), (SELECT json_agg(j) FROM portals.tasks j WHERE j.member_id = $1)) AS known
       FROM portals.reachability r JOIN portals.event_arrivals a USING (member_id) WHERE member_id = $1`,
      [memberId],
    );
    return rows[0]?.known ?? 'nothing';
  }

  /** What the receiver was told. Throws for what is not signed as Standard Webhooks says, or is not of now. */
  function told(): string[] {
    return received.map(({ headers, body }) => {
      const { type, data } = alert.parse(new Webhook(SECRET).verify(body, headers));
      return `${type} ${data.status} ${data.alerts.map(({ subject }) => subject).join(' ')}`;
    });
  }

  async function toldIn({ name }: SimulatedPortal): Promise<string[]> {
    const url = `http://127.0.0.1:${relay.env['SIMULATOR_PORT']}/_sim/portals/${name}/notifications`;
    return notifications.parse(await control('GET', url)).map(({ message }) => message);
  }

  /** The transaction of the last look at what is wrong, which writes each alert. */
  async function lastLook(): Promise<string | undefined> {
    const { rows } = await database.query<{ xmin: string }>('SELECT xmin::text FROM platform.alerts');
    return rows[0]?.xmin;
  }

  it('is called unreachable in its silence time, and not before, and not when it is only quiet', async () => {
    const [blocked, quiet] = [await install('blocked'), await install('quiet')];
    await change(blocked);
    await change(quiet);
    await isWatched(blocked);
    await isWatched(quiet);

    // Silent for long: its test arrives, and is no event that nobody wants.
    await pass(quiet, '25 hours');
    await eventually(
      async () => {
        if ((await calls(quiet)) !== 1) throw new Error(`not asked for a test: ${await knownOf(quiet)}`);
        expect(relay.log()).toMatch(/"outcome":"arrived".*job done/);
      },
      { timeoutMs: 60_000 },
    );
    expect((await command(relay, ['unrouted'])).screen).not.toContain('ONAPPTEST');

    await front.cut();
    await change(blocked);
    await pass(blocked, '19 hours');
    await pass(quiet, '10 hours');
    // A look at both has found that their time has not come.
    await eventually(
      async () => {
        const { rows } = await database.query<{ isLooked: boolean }>(
          `SELECT bool_and(next_check_at > now()) AS "isLooked" FROM portals.reachability`,
        );
        expect(rows[0]?.isLooked).toBe(true);
      },
      { timeoutMs: 60_000 },
    );
    expect([await calls(blocked), await calls(quiet)]).toEqual([0, 1]);

    await pass(blocked, '6 hours');
    await eventually(async () => expect(await failedTests(blocked)).toBe(1), { timeoutMs: 90_000 });
    expect((await command(relay, ['portals'])).screen).not.toContain('unreachable');
    await change(blocked);
    await pass(blocked, '1 minute');
    await eventually(
      async () => {
        expect(await listedPortal(relay, blocked.memberId)).toMatchObject({ state: 'unreachable' });
      },
      { timeoutMs: 90_000 },
    );
    expect((await command(relay, ['portals'])).screen).toMatch(
      /unreachable .*its events do not reach us since .*: look at PUBLIC_URL/,
    );
    expect(relay.log()).toMatch(
      new RegExp(`"event":"portal.unreachable","memberId":"${blocked.memberId}","reason":"test"`),
    );
    await eventually(
      async () => {
        expect(await relay.metric('control-plane', 'relay_portals{state="unreachable"}')).toBe(1);
      },
      { timeoutMs: 30_000 },
    );
    expect([await calls(blocked), await calls(quiet)]).toEqual([2, 1]);
    // Nobody reads its offline queue here: what it posts now is to be looked for afterwards.
    const { rows: gaps } = await database.query('SELECT member_id, reason, ended_at FROM portals.event_gaps');
    expect(gaps).toEqual([{ member_id: blocked.memberId, reason: 'UNREACHABLE', ended_at: null }]);
    expect((await command(relay, ['portals', 'show', quiet.name])).screen).toMatch(/state +installed/);

    const open = `portal.unreachable open ${blocked.memberId}`;
    await eventually(
      async () => {
        expect(told()).toEqual([open]);
        expect(await toldIn(blocked)).toEqual([expect.stringContaining('do not reach the server')]);
      },
      { timeoutMs: 60_000 },
    );
    await relay.end('control-plane');
    let look = await lastLook();
    await relay.start('control-plane', settings);
    // What the first one queued was delivered before the second one.
    for (let looks = 0; looks < 2; looks += 1) {
      await eventually(async () => expect(await lastLook()).not.toBe(look), { timeoutMs: 60_000 });
      look = await lastLook();
    }
    expect(told()).toEqual([open]);
    expect(await toldIn(blocked)).toHaveLength(1);

    await front.mend();
    await change(blocked);
    await eventually(
      async () => {
        expect(await listedPortal(relay, blocked.memberId)).toMatchObject({ state: 'installed' });
        expect(await relay.metric('control-plane', 'relay_portals{state="unreachable"}')).toBe(0);
      },
      { timeoutMs: 60_000 },
    );
    expect((await command(relay, ['portals', 'show', blocked.name])).screen).toMatch(/state +installed/);
    await eventually(
      async () => {
        expect(told()).toEqual([open, `portal.unreachable resolved ${blocked.memberId}`]);
        expect(await toldIn(blocked)).toEqual([
          expect.anything(),
          expect.stringContaining('reach the server of the application again'),
        ]);
      },
      { timeoutMs: 60_000 },
    );
    expect(await toldIn(quiet)).toEqual([]);
  }, 480_000);
});
