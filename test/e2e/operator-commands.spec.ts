import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  consumersResponse,
  deadLetterDropResponse,
  deadLetterReplayResponse,
  deadLettersResponse,
  eventsResponse,
  journalsResponse,
  keyRotationResponse,
  limitResponse,
  moveResponse,
  portalsResponse,
  portalSyncResponse,
  resumeResponse,
  retriesResponse,
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
import { eventOf, InstalledApplication, postForm } from '../support/installed-application.js';
import { askGateway, command, listedPortal, testEventComes } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

/** Real: gateway, PostgreSQL, command line. Simulated: Bitrix24. */
describe('an operator', () => {
  let relay: Relay;
  let portal: SimulatedPortal;
  let applicationToken: string;
  let database: pg.Client;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', []);
    portal = await relay.portal('acme');
    const app = new InstalledApplication(relay, portal);
    const { status, application_token: token } = await app.install('event', app.installUrl);
    expect(status).toBe(200);
    applicationToken = token;
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
    ['/ops/page/index.html', 200],
    ['/ops/page/nothing.js', 404],
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
      new RegExp(
        `^member_id +state +kind +domain .*\\n${portal.memberId}  suspended  oauth  .*  OVERLOAD_LIMIT, next try 20\\d\\d-.*Z\\n$`,
      ),
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
      screen: 'relay: There is no portal nobody: see relay portals.\n',
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
    [['portals', 'limit', 'acme', 'much'], 'The limit must be usual'],
    [['portals', 'limit', 'acme', '0/50'], 'limit.rate must be a number from 0.01 to 10000'],
    [['portals', 'limit', 'acme', '0.001/50'], 'limit.rate must be a number from 0.01 to 10000'],
    [['portals', 'limit', 'acme', `${'9'.repeat(300)}/50`], 'limit.rate must be a number from 0.01'],
    [['portals', 'limit', 'acme', '-5/250'], "relay: unknown option '-5/250'"],
    [['portals', '--jsno'], "relay: unknown option '--jsno'\n(Did you mean --json?)"],
    [['portals', 'set', 'acme', 'Name Formatter', '{}'], 'is no name of a consumer'],
    [['portals', 'set', 'acme', 'name-formatter', '[]'], 'must be a JSON object'],
    [['portals', 'mode', 'acme', 'sometimes'], 'online, offline or both'],
    [['portals', 'remove', 'acme'], 'Say --yes'],
    [['dead', 'list', '--since', 'yesterday'], 'yesterday is no time'],
    [['dead', 'list', '--limit', '0'], 'must be a whole number from 1 on'],
    [['dead', 'list', '--limit', '5000'], 'limit must be a whole number from 1 to 1000'],
    [['dead', 'list', '--after', '5'], '--after needs the --consumer of that one'],
    [['dead', 'list', '--rate', '5'], "unknown option '--rate'"],
    [['dead', 'replay', '--rate', '0'], 'must be a number from 1 to 1000'],
    [['dead', 'replay', '--rate', 'fast'], 'must be a number from 1 to 1000'],
    [['dead', 'show', 'Nobody!', '1'], 'is no name of a consumer'],
    [['dead', 'drop'], 'say which letters by a filter'],
    [['consumer', 'retire', 'x', '--drain', '--drop'], 'either drain or drop'],
    [['consumer', 'register', 'x'], '--events is missing, such as --events ONCRMDEALADD'],
    [['consumer', 'register', 'x', '--events', ' ,'], 'events name no event'],
    [['consumer', 'register', 'x', '--events', 'ONCRMDEALADD,ON CRM'], 'events.1 is no name of an event'],
    [['consumer', 'register', 'X!', '--events', 'ONCRMDEALADD'], 'is no name of a consumer'],
    [['queues', '--all'], "unknown option '--all'"],
    [['portals', 'resume'], "missing required argument 'portal'\nSee: relay portals resume --help"],
    [['portals', 'tesst', 'acme'], "unknown command 'tesst'\n(Did you mean test?)"],
    [['quues'], "unknown command 'quues'\n(Did you mean queues?)"],
    [['queues', 'all'], "there is one argument too many: 'all'"],
    [['keys'], 'keys rotate'],
    [['completion', 'fish'], 'The shell must be bash or zsh'],
  ])('hears what is wrong with the call %j', async (args, words) => {
    const { code, screen } = await command(relay, args);
    expect([code, screen]).toEqual([2, expect.stringContaining(words)]);
    expect(screen).not.toMatch(/✖|Invalid input|ZodError|    at /);
  });

  it.each([
    [['portals', 'limit', 'nobody', 'free'], 'There is no portal nobody: see relay portals'],
    [['portals', 'test', 'amce'], 'There is no portal amce (did you mean acme?)'],
    [['dead', 'list', '--portal', '../x'], 'There is no portal ../x'],
    [['unrouted', 'replay', '--portal', 'nobody'], 'There is no portal nobody'],
    [['retries', 'list', '--portal', 'nobody'], 'There is no portal nobody'],
    [['portals', 'webhook', '--portal', 'nobody'], 'There is no portal nobody'],
    [['dead', 'list', '--consumer', 'nobody'], 'The bus knows no consumer nobody'],
    [['retries', 'list', '--consumer', 'nobody'], 'There is no consumer nobody'],
  ])('hears what does not exist in %j', async (args, words) => {
    const { code, screen } = await command(relay, args);
    expect([code, screen]).toEqual([1, expect.stringContaining(words)]);
  });

  it('names a portal by its domain, the first part of it, or its member_id', async () => {
    const { domain } = await listedPortal(relay, portal.memberId);
    for (const name of ['acme', domain, `https://${domain.toUpperCase()}/`, portal.memberId]) {
      const { code, screen } = await command(relay, ['portals', 'show', name]);
      expect([code, screen]).toEqual([0, expect.stringMatching(new RegExp(`^domain +${domain}$`, 'm'))]);
      expect(screen).toMatch(new RegExp(`^member_id +${portal.memberId}$`, 'm'));
    }
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

  it('has no event log where it is switched off, and events nevertheless', async () => {
    const logged = async () => eventsResponse.parse(await askGateway(relay, 'GET', '/events'));
    const send = async (name: string): Promise<void> => {
      const { status } = await postForm(
        `${relay.gatewayUrl}/b24/events`,
        eventOf(portal, name, applicationToken),
      );
      expect(status).toBe(200);
    };
    await send('ONCRMLEADADD');
    // Its end writes what is left.
    await relay.restart({ EVENT_LOG_DAYS: '0' });
    await send('ONCRMLEADUPDATE');
    expect(await logged()).toMatchObject({ enabled: false, events: [{ event: 'ONCRMLEADADD' }] });
    expect((await command(relay, ['events'])).screen).toContain('EVENT_LOG_DAYS of the control plane is 0');
    await relay.restart({ EVENT_LOG_DAYS: '3' });
    await send('ONCRMLEADDELETE');
    await eventually(async () =>
      expect(await logged()).toMatchObject({
        enabled: true,
        events: [{ event: 'ONCRMLEADDELETE' }, { event: 'ONCRMLEADADD' }],
      }),
    );
  });

  it('removes a portal: its events are unbound there and rejected here, until it is installed again', async () => {
    const leaving = await relay.portal('leaving');
    const app = new InstalledApplication(relay, leaving);
    await app.install('event', app.installUrl);
    await eventually(async () => expect(await leaving.eventsBoundTo(app.eventsUrl)).toContain('ONAPPTEST'));
    const removed = await command(relay, ['portals', 'remove', 'leaving', '--yes']);
    expect([removed.code, removed.screen]).toEqual([
      0,
      expect.stringMatching(/is removed: its tokens are deleted\. \d events unbound there\./),
    ]);
    expect(await leaving.eventsBoundTo(app.eventsUrl)).toEqual([]);
    expect(await listedPortal(relay, leaving.memberId)).toMatchObject({ state: 'uninstalled', kind: null });
    // Without its tokens nobody can ask it any more.
    expect(await command(relay, ['portals', 'remove', 'leaving', '--yes', '--clean'])).toMatchObject({
      code: 0,
      screen: expect.stringContaining('could not be unbound there'),
    });
    await app.install('event', app.installUrl);
    await eventually(async () => expect(await leaving.eventsBoundTo(app.eventsUrl)).toContain('ONAPPTEST'));
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
    { method: 'GET', path: '/events', schema: eventsResponse },
    { method: 'GET', path: '/journal', schema: journalsResponse },
    { method: 'GET', path: '/retries', schema: retriesResponse },
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
