import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  consumersResponse,
  deadLetterDropResponse,
  deadLetterReplayResponse,
  deadLettersResponse,
  journalsResponse,
  keyRotationResponse,
  limitResponse,
  moveResponse,
  portalsResponse,
  portalSyncResponse,
  resumeResponse,
  syncJobResponse,
  syncResponse,
  testResponse,
  topologyResponse,
  unroutedReplayResponse,
  unroutedResponse,
} from '@relay/admin-contract';
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { z } from 'zod';
import { eventually } from '../support/eventually.js';
import { InstalledApplication } from '../support/installed-application.js';
import { askGateway, command, listedPortal, testEventComes } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

/** Real: gateway, PostgreSQL, command line. Simulated: Bitrix24. */
describe('an operator', () => {
  let relay: Relay;
  let portal: SimulatedPortal;
  let database: pg.Client;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', []);
    portal = await relay.portal('acme');
    const app = new InstalledApplication(relay, portal);
    expect((await app.install('event', app.installUrl)).status).toBe(200);
    await eventually(async () => expect(await portal.eventsBoundTo(app.eventsUrl)).toContain('ONAPPTEST'));
    database = new pg.Client({ connectionString: relay.env['DATABASE_URL'] });
    await database.connect();
  }, 240_000);
  afterAll(async () => {
    await database?.end();
    await relay?.stop();
  }, 30_000);

  async function suspend(): Promise<void> {
    await database.query(
      `UPDATE portals.portals SET state = 'suspended', suspended_reason = 'OVERLOAD_LIMIT', suspended_times = 1,
         suspended_until = now() + interval '5 hours' WHERE member_id = $1`,
      [portal.memberId],
    );
  }

  it('sees every command in the help', async () => {
    const { code, screen } = await command(relay, ['--help']);
    expect(code).toBe(0);
    for (const words of ['portals limit', 'portals resume', 'keys rotate', 'portals webhook', '--json']) {
      expect(screen).toContain(words);
    }
  });

  it.each([
    ['/ops', 200],
    ['/ops/', 200],
    ['/ops/page/main.mjs', 200],
    ['/ops/page/nothing.mjs', 404],
    ['/ops/api/sync', 401],
    ['/ops/api/portals', 401],
    ['/ops/api/nothing', 401],
    ['/ops/nothing', 401],
  ])('without the token gets the page, and nothing else: %s', async (path, status) => {
    const url = `http://127.0.0.1:${relay.opsPort('control-plane')}${path}`;
    expect((await fetch(url)).status).toBe(status);
    // Nor on the public port.
    expect((await fetch(relay.gatewayUrl + path)).status).toBe(404);
  });

  it('sees why a portal is left alone and until when, and ends that', async () => {
    await suspend();
    const listed = await command(relay, ['portals']);
    expect(listed.screen).toMatch(
      new RegExp(`^${portal.memberId}  suspended  oauth  .*  OVERLOAD_LIMIT, next try 20\\d\\d-.*Z\\n$`),
    );
    expect(await listedPortal(relay, portal.memberId)).toMatchObject({ suspendedReason: 'OVERLOAD_LIMIT' });
    await expect(testEventComes(relay, portal.memberId)).rejects.toThrow('PORTAL_SUSPENDED');

    const ended = await command(relay, ['portals', 'resume', portal.memberId, '--json']);
    expect([ended.code, JSON.parse(ended.screen)]).toEqual([0, { resumed: true }]);
    expect(await testEventComes(relay, portal.memberId)).toBe(true);
    const again = await command(relay, ['portals', 'resume', portal.memberId]);
    expect([again.code, again.screen]).toEqual([0, expect.stringContaining('was not suspended')]);
    expect(await command(relay, ['portals', 'resume', 'nobody'])).toEqual({
      code: 1,
      screen: 'relay: There is no such portal\n',
    });
  });

  it.each([
    ['enterprise', { rate: 5, burst: 250 }],
    ['7.5/30', { rate: 7.5, burst: 30 }],
    ['free', 'free'],
    ['usual', { rate: 2, burst: 50 }],
  ])('sets the limit %s', async (given, limit) => {
    const { code, screen } = await command(relay, ['portals', 'limit', portal.memberId, given, '--json']);
    expect([code, JSON.parse(screen)]).toEqual([0, { limit }]);
  });

  it.each([
    [['portals', 'limit', 'nobody', 'free'], 'There is no such portal'],
    [['portals', 'limit', 'x', 'much'], 'The limit must be usual'],
    [['portals', 'limit', 'x', '0/50'], 'expected number to be >0'],
    [['portals', 'limit', 'x', '0.001/50'], 'expected number to be >=0.01'],
    [['portals', 'limit', 'x', `${'9'.repeat(300)}/50`], 'expected number to be <=10000'],
    [['portals', 'limit', 'x', '-5/250'], "relay: Unknown option '-5'"],
    [['portals', '--jsno'], "relay: Unknown option '--jsno'"],
    [['portals', 'set', 'x', 'Name Formatter', '{}'], 'is no name of a consumer'],
    [['dead', 'list', '--since', 'yesterday'], 'yesterday is no time'],
    [['dead', 'list', '--limit', '0'], 'expected number to be >=1'],
    [['dead', 'list', '--limit', 'many'], 'expected number'],
    [['dead', 'list', '--consumer', 'nobody'], 'The bus knows no consumer nobody'],
    [['dead', 'list', '--rate', '5'], '`relay dead list` has no option --rate'],
    [['dead', 'replay', '--rate', '0'], 'expected number to be >=1'],
    [['dead', 'replay', '--rate', 'fast'], '--rate must be a number'],
    [['dead', 'show', 'Nobody!', '1'], 'is no name of a consumer'],
    [['dead', 'drop', '--portal', '../x'], 'is no member_id'],
    [['consumer', 'retire', 'x', '--drain', '--drop'], 'either drain or drop'],
    [['queues', '--all'], '`relay queues` has no option --all'],
    [['portals', 'resume'], 'There is no such command'],
    [['keys'], 'There is no such command'],
  ])('hears what is wrong with %j', async (args, words) => {
    const { code, screen } = await command(relay, args);
    expect([code, screen]).toEqual([1, expect.stringContaining(words)]);
  });

  /** Neither less nor more than the contract says: what a schema does not know, `parse` removes. */
  it('gets what the contract says from every route', async () => {
    await eventually(async () => {
      expect(await askGateway(relay, 'GET', '/journal')).toMatchObject({ gateways: [{ slot: 0 }] });
    });
    for (const { method, path, schema, sent } of routesOf(portal.memberId)) {
      const answer = await askGateway(relay, method, path, sent);
      expect([path, schema.parse(answer)]).toEqual([path, answer]);
    }
  });

  it('rotates the key, and starts without the old one', async () => {
    const [id = '', old = ''] = relay.env['TOKEN_KEYS']?.split(':') ?? [];
    const fresh = `fresh:${randomBytes(32).toString('base64')}`;
    await relay.restart({ TOKEN_KEYS: `${fresh},${id}:${old}` });
    const rotated = await command(relay, ['keys', 'rotate']);
    expect([rotated.code, rotated.screen]).toEqual([
      0,
      expect.stringContaining('All other keys can be removed'),
    ]);
    const again = await command(relay, ['keys', 'rotate', '--json']);
    expect(JSON.parse(again.screen)).toMatchObject({ rewritten: 0, unreadable: 0, currentKeyId: 'fresh' });
    await relay.restart({ TOKEN_KEYS: fresh });
    expect(await testEventComes(relay, portal.memberId)).toBe(true);
    for (const key of [old, fresh.split(':')[1] ?? '']) expect(relay.log().includes(key)).toBe(false);
  });
});

interface Route {
  method: string;
  path: string;
  schema: z.ZodType;
  sent?: object;
}

/** Those of a single dead letter, of a webhook pair and of a retired consumer are parsed by `relay` in other specs. */
function routesOf(memberId: string): Route[] {
  return [
    { method: 'POST', path: `/sync/${memberId}/backfill`, schema: syncJobResponse },
    { method: 'GET', path: '/sync', schema: syncResponse },
    { method: 'GET', path: `/sync/${memberId}`, schema: portalSyncResponse },
    { method: 'GET', path: '/portals', schema: portalsResponse },
    { method: 'PUT', path: `/portals/${memberId}/limit`, schema: limitResponse, sent: { limit: 'usual' } },
    { method: 'POST', path: `/portals/${memberId}/resume`, schema: resumeResponse },
    { method: 'POST', path: `/portals/${memberId}/test`, schema: testResponse },
    { method: 'GET', path: '/consumers', schema: consumersResponse },
    { method: 'GET', path: '/journal', schema: journalsResponse },
    { method: 'GET', path: '/topology', schema: topologyResponse },
    { method: 'GET', path: '/unrouted', schema: unroutedResponse },
    { method: 'POST', path: '/unrouted/replay', schema: unroutedReplayResponse },
    { method: 'POST', path: '/bus/move', schema: moveResponse },
    { method: 'GET', path: '/dead-letters', schema: deadLettersResponse },
    { method: 'POST', path: '/dead-letters/replay', schema: deadLetterReplayResponse },
    { method: 'POST', path: '/dead-letters/drop', schema: deadLetterDropResponse, sent: { all: true } },
    { method: 'POST', path: '/keys/rotate', schema: keyRotationResponse },
  ];
}
