import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { pagePreviewResponse, pageSettingsResponse, pageStatusResponse } from '@relay/admin-contract';
import { nameSettings } from '@relay/names';
import { PortalJobs } from '@relay/jobs';
import { InMemoryRateLimiter } from '@relay/bitrix24';
import { deferred, loadMigrations, readEnvironment } from '@relay/platform';
import {
  CorrectionCounts,
  EventBindings,
  OFFLINE_PULLER,
  PortalCache,
  PortalClients,
  PortalSettings,
  Subscriptions,
} from '@relay/portals';
import { randomBytes } from 'node:crypto';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import { freshDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { eventually } from '../../../../test/support/eventually.js';
import {
  type HeardCall,
  type HostileAnswer,
  HostilePortals,
} from '../../../../test/support/hostile-portal.js';
import { RecordedLog } from '../../../../test/support/recorded-log.js';
import { createGatewayApp } from '../gateway.js';
import { GATEWAY_VARIABLES } from '../gateway.module.js';
import { FrameAuthenticator } from './frame-authenticator.js';

const NAMES = 'name-formatter';
const MIRROR = 'smart-process-sync';
/** As that consumer declares them; its app is not to be imported. */
const mirrorSettings = z.strictObject({
  types: z
    .strictObject({
      include: z.array(z.int32().positive()).optional(),
      exclude: z.array(z.int32()).default([]),
    })
    .default({ exclude: [] }),
  invoices: z.boolean().default(false),
});

interface User {
  userId: number;
  isAdministrator: boolean;
  /** Of the application that the token was given to. */
  applicationId?: number;
}

interface Answer {
  status: number;
  body: unknown;
  headers: Headers;
}

const newToken = (): string => randomBytes(20).toString('hex');
const reasonsOf = (answers: Answer[]): Set<string> =>
  new Set(answers.map(({ body }) => JSON.stringify(body)));

/** Real: the gateway's HTTP, PostgreSQL. Played here: portals, which know the tokens of their users. */
describe('the API of the page inside Bitrix24', () => {
  let database: TestDatabase;
  let app: NestFastifyApplication;
  let address: string;
  const log = new RecordedLog();
  let portals: HostilePortals;
  let memberId: string;
  /** By access token: whom the portal knows. */
  let users: Map<string, User>;
  let admin: string;
  let reader: string;
  /** In place of what the portal says to a token of a user; `undefined`: that. */
  let instead: (call: HeardCall) => HostileAnswer | undefined | Promise<HostileAnswer | undefined>;

  let made = 0;
  let client: string;
  /** Calls with tokens of users, not with the pair that is stored. */
  const checks = (): HeardCall[] =>
    portals.calls.filter(
      (call) => call.memberId === memberId && call.token !== portals.accessTokenOf(memberId),
    );

  beforeAll(async () => {
    [database, portals] = await Promise.all([freshDatabase(await loadMigrations()), HostilePortals.start()]);
    const environment = readEnvironment(GATEWAY_VARIABLES, {
      DATABASE_URL: database.url,
      PORT: '1',
      TRUST_PROXY: '127.0.0.1',
      PUBLIC_URL: 'https://relay.example.com',
      B24_CLIENT_ID: 'local.test',
      B24_CLIENT_SECRET: 'made-up',
      B24_OAUTH_URL: await portals.url(),
      B24_ALLOW_HOSTS: await portals.host(),
      TOKEN_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    });
    app = await createGatewayApp(environment, { publish: () => Promise.resolve() }, log, false);
    await app.listen(0, '127.0.0.1');
    address = await app.getUrl();
    await app.get(PortalSettings).declare(NAMES, nameSettings);
    await app.get(PortalSettings).declare(MIRROR, mirrorSettings);
    await app.get(Subscriptions).record(NAMES, ['ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE']);
  });
  afterAll(async () => {
    await app?.close();
    await Promise.all([database?.drop(), portals?.stop()]);
  });

  beforeEach(async () => {
    memberId = randomBytes(16).toString('hex');
    client = `192.0.2.${(made += 1)}`;
    [admin, reader] = [newToken(), newToken()];
    users = new Map([
      [admin, { userId: 1, isAdministrator: true }],
      [reader, { userId: 2, isAdministrator: false }],
    ]);
    instead = () => undefined;
    portals.answer = async (call) => (await instead(call)) ?? answerTo(call);
    expect(await portals.install(address, memberId)).toBe(200);
  });
  afterEach(() => {
    // Whatever a test does, no secret is logged.
    for (const token of users.keys()) expect(log.text()).not.toContain(token);
  });

  function answerTo({ memberId: asked, method, params, token }: HeardCall): HostileAnswer | undefined {
    const own: User | undefined =
      token === portals.accessTokenOf(asked) ? { userId: 1, isAdministrator: true } : users.get(token);
    if (!own) return { status: 401, body: { error: 'invalid_token', error_description: token } };
    const { userId, isAdministrator, applicationId = 7 } = own;
    const results = {
      app: { ID: applicationId, CODE: `local.${applicationId}` },
      user: { ID: String(userId), ADMIN: isAdministrator },
      admin: isAdministrator,
    };
    if (method === 'app.info') return { body: { result: results.app } };
    if (method !== 'batch' || !JSON.stringify(params).includes('profile')) return undefined;
    const nothing = { result_error: [], result_total: [], result_next: [], result_time: [] };
    return { body: { result: { result: results, ...nothing } } };
  }

  async function request(
    token: string | undefined,
    method: string,
    path: string,
    body?: unknown,
    member = memberId,
  ): Promise<Answer> {
    const answer = await fetch(`${address}/b24/app/api/${path}`, {
      method,
      headers: {
        'b24-member-id': member,
        // Wrong tokens are counted by address: those of one test are not the next one's.
        'x-forwarded-for': client,
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await answer.text();
    return {
      status: answer.status,
      body: text === '' ? undefined : JSON.parse(text),
      headers: answer.headers,
    };
  }
  /** From so many networks, each with a token that nobody has seen. */
  async function flood(
    count: number,
    networkOf = (index: number) => `198.51.100.${index}`,
  ): Promise<Answer[]> {
    const answers: Answer[] = [];
    for (let index = 1; index <= count; index += 1) {
      client = networkOf(index);
      answers.push(await request(newToken(), 'GET', 'status'));
    }
    return answers;
  }
  const settingsOf = async (token = admin) =>
    pageSettingsResponse.parse((await request(token, 'GET', 'settings')).body);
  const stored = async (consumer: string) => {
    const [row] = await app
      .get(DataSource)
      .query<{ settings: Record<string, unknown> }[]>(
        'SELECT settings FROM portals.portals WHERE member_id = $1',
        [memberId],
      );
    return row?.settings[consumer];
  };

  const statusOf = async (token = reader) =>
    pageStatusResponse.parse((await request(token, 'GET', 'status')).body);
  const put = async (token: string, changes: object, version?: string) =>
    request(token, 'PUT', 'settings', { version: version ?? (await settingsOf()).version, ...changes });
  const previewOf = (given: string[], settings: object = {}) =>
    request(reader, 'POST', 'preview', {
      names: given,
      settings: { firstWord: null, particles: null, language: null, ...settings },
    });

  describe('knows its user', () => {
    it('by a token that the portal confirms, once in two minutes, at the address that is stored', async () => {
      const both = await Promise.all([request(reader, 'GET', 'status'), request(reader, 'GET', 'status')]);
      expect(both.map(({ status }) => status)).toEqual([200, 200]);
      expect((await request(reader, 'GET', 'settings')).status).toBe(200);
      expect(checks().map(({ method, token }) => [method, token])).toEqual([['batch', reader]]);
    });

    it.each([
      ['no token', undefined],
      ['a short one', 'short'],
      ['one of two words', `${'a'.repeat(20)} ${'b'.repeat(20)}`],
      ['one that is too long', 'a'.repeat(3_000)],
    ])('and not without asking the portal for %s', async (_, token) => {
      expect(await request(token, 'GET', 'status')).toMatchObject({ status: 401 });
      expect(checks()).toEqual([]);
    });

    it('and not at a portal that is unknown, which costs no call', async () => {
      const before = portals.calls.length;
      for (const member of [randomBytes(16).toString('hex'), '', "' OR 1=1", '../x', 'a'.repeat(300)]) {
        expect(await request(admin, 'GET', 'status', undefined, member)).toMatchObject({
          status: 401,
          body: { error: 'not-confirmed' },
        });
      }
      expect(portals.calls.length).toBe(before);
    });

    it('and not by a forged token, which costs the portal one call however often it comes', async () => {
      const forged = newToken();
      for (let count = 0; count < 5; count += 1) {
        expect(await request(forged, 'GET', 'status')).toMatchObject({
          status: 401,
          body: { error: 'not-confirmed' },
        });
      }
      expect(checks()).toHaveLength(1);
      expect(await request(forged, 'PUT', 'settings', { version: '' })).toMatchObject({ status: 401 });
      expect(checks()).toHaveLength(1);
    });

    it('and not by the token of a user of another portal', async () => {
      const other = randomBytes(16).toString('hex');
      expect(await portals.install(address, other)).toBe(200);
      const theirs = portals.accessTokenOf(other) ?? '';
      expect(await request(theirs, 'GET', 'status')).toMatchObject({ status: 401 });
    });

    it('and not by a token that another application of the portal holds', async () => {
      const foreign = newToken();
      users.set(foreign, { userId: 1, isAdministrator: true, applicationId: 8 });
      expect(await request(foreign, 'PUT', 'settings', { version: '' })).toMatchObject({
        status: 401,
        body: { error: 'not-confirmed' },
      });
    });

    it('and says so when the token has expired, so that the page takes another', async () => {
      instead = ({ token }) =>
        token === reader ? { status: 401, body: { error: 'expired_token' } } : undefined;
      expect(await request(reader, 'GET', 'status')).toMatchObject({
        status: 401,
        body: { error: 'token-expired' },
      });
      expect(checks()).toHaveLength(1);
    });

    it('and asks a portal that was renamed at its new address, though nothing has called it there', async () => {
      expect((await request(reader, 'GET', 'status')).status).toBe(200);
      const renamed = randomBytes(16).toString('hex');
      const [body, url] = [{ result: { error: 'moved' } }, await portals.url()];
      portals.answer = (call) =>
        call.memberId === renamed
          ? answerTo({ ...call, memberId })
          : { status: 302, headers: { location: url }, body };
      portals.oauthAnswer = (granted) => ({
        body: {
          ...portals.issue(granted),
          expires_in: 3600,
          domain: 'oauth.bitrix.info',
          server_endpoint: `${url}/rest/`,
          client_endpoint: `${url}/portals/${renamed}/rest/`,
          member_id: granted,
          scope: 'crm',
          status: 'L',
        },
      });
      const answers = await Promise.all([
        request(admin, 'GET', 'status'),
        put(reader, {}, 'any'),
        request(newToken(), 'GET', 'status'),
      ]);
      portals.oauthAnswer = () => undefined;
      expect(answers.map(({ status }) => status)).toEqual([200, 403, 401]);
    });

    it('and cannot tell while the portal answers nonsense; the next request asks again', async () => {
      instead = ({ token }) => (token === reader ? { status: 500, body: '<html>' } : undefined);
      expect(await request(reader, 'GET', 'status')).toMatchObject({
        status: 503,
        body: { error: 'portal-unreachable' },
      });
      instead = () => undefined;
      expect((await request(reader, 'GET', 'status')).status).toBe(200);
    });

    it('and lets forged tokens of one address wait, while a right one that is known passes', async () => {
      expect((await request(reader, 'GET', 'status')).status).toBe(200);
      const answers = [];
      for (let count = 0; count < 25; count += 1) answers.push(await request(newToken(), 'GET', 'status'));
      const statuses = answers.map(({ status }) => status);
      expect(new Set(statuses)).toEqual(new Set([401, 429]));
      expect(statuses.at(-1)).toBe(429);
      expect(checks().length).toBeLessThanOrEqual(22);
      expect((await request(reader, 'GET', 'status')).status).toBe(200);
    });
  });

  describe('waits for a portal that hangs', () => {
    it('no longer than it may, and an event meanwhile does not wait at all', async () => {
      const other = randomBytes(16).toString('hex');
      expect(await portals.install(address, other)).toBe(200);
      const { promise: released, resolve: release } = deferred<HostileAnswer | undefined>();
      instead = ({ memberId: asked, method }) =>
        asked === other && method === 'batch' ? released : undefined;
      const heard = () =>
        portals.calls.filter(({ memberId: asked, method }) => asked === other && method === 'batch');
      // 2 in flight and 20 in line; there is no room for the other four.
      const answered: Answer[] = [];
      const asking = Array.from({ length: 26 }, async (_, i) => {
        client = `198.51.100.${i}`;
        answered.push(await request(newToken(), 'GET', 'status', undefined, other));
      });
      await eventually(() => {
        expect(answered).toHaveLength(4);
        expect(heard()).toHaveLength(2);
      });
      expect(reasonsOf(answered)).toEqual(new Set(['{"error":"busy"}']));
      // Users of other portals do not wait for it.
      expect((await request(reader, 'GET', 'status')).status).toBe(200);
      expect(await portals.send(address, memberId, 'ONCRMCONTACTADD', { ID: '1' })).toBe(200);
      expect(heard()).toHaveLength(2);
      release(undefined);
      await Promise.all(asking);
      expect(answered.slice(4).map(({ status }) => status)).toEqual(Array.from({ length: 22 }, () => 401));
    });

    it('and neither where many portals hang', async () => {
      const others = Array.from({ length: 25 }, () => randomBytes(16).toString('hex'));
      for (const other of others) expect(await portals.install(address, other)).toBe(200);
      const { promise: released, resolve: release } = deferred<HostileAnswer | undefined>();
      instead = ({ memberId: asked, method }) =>
        others.includes(asked) && method === 'batch' ? released : undefined;
      const asking = others.flatMap((other, at) =>
        [1, 2].map(async (nth) => {
          client = `198.51.${nth}.${at}`;
          return request(newToken(), 'GET', 'status', undefined, other);
        }),
      );
      await eventually(() =>
        expect(
          portals.calls.filter(({ memberId: asked, method }) => others.includes(asked) && method === 'batch')
            .length,
        ).toBeGreaterThanOrEqual(40),
      );
      const beganAt = performance.now();
      expect((await request(reader, 'GET', 'status')).status).toBe(200);
      expect(performance.now() - beganAt).toBeLessThan(5_000);
      release(undefined);
      expect(reasonsOf(await Promise.all(asking))).toEqual(new Set(['{"error":"not-confirmed"}']));
    });

    it('a second here', async () => {
      const slow = new FrameAuthenticator(
        app.get(PortalCache),
        app.get(PortalClients),
        { of: () => new InMemoryRateLimiter() },
        [await portals.host()],
        1_000,
      );
      instead = ({ token }) => (token === reader ? deferred<undefined>().promise : undefined);
      const claim = { memberId, accessToken: reader, address: client };
      await expect(slow.authenticate(claim)).rejects.toMatchObject({
        status: 503,
        reason: 'portal-unreachable',
      });
    });
  });

  describe('lets nobody keep others out', () => {
    const names = { firstWord: 'capital', particles: null, language: null };

    it('by a portal that confirms every token: the gateway remembers a bounded number', async () => {
      instead = ({ token }) => {
        if (token !== portals.accessTokenOf(memberId)) users.set(token, { userId: 3, isAdministrator: true });
        return undefined;
      };
      const answers = await flood(40);
      expect(answers.at(0)?.status).toBe(200);
      expect(answers.at(-1)).toMatchObject({ status: 429, body: { error: 'too-many-checks' } });
      expect(checks().length).toBeLessThan(36);
    });

    it('by forged tokens of many networks: whose token was right can still write', async () => {
      const { version } = await settingsOf();
      expect((await flood(40)).at(-1)).toMatchObject({ status: 429, body: { error: 'too-many-checks' } });
      expect((await put(admin, { names }, version)).status).toBe(204);
      expect((await statusOf(admin)).user.isAdministrator).toBe(true);
    });

    it('by forged tokens of one IPv6 network, whichever of its addresses they come from', async () => {
      const answers = await flood(24, (index) => `2001:db8:1:2::${index.toString(16)}`);
      expect(answers.at(-1)).toMatchObject({ status: 429, body: { error: 'too-many-wrong-tokens' } });
    });

    it('by writes of a user: others have their own', async () => {
      expect((await request(reader, 'GET', 'status')).status).toBe(200);
      const { version } = await settingsOf();
      const rejected: Answer[] = [];
      for (let count = 0; count < 14; count += 1) rejected.push(await put(reader, { names }, version));
      expect(reasonsOf(rejected)).toEqual(
        new Set(['{"error":"not-an-administrator"}', '{"error":"too-many-checks"}']),
      );
      expect((await put(admin, { names }, version)).status).toBe(204);
    });

    it.each([
      ['a user', { user: { ID: '1'.repeat(60_000) } }],
      ['a user that is no number', { user: { ID: '1\n2' } }],
      ['an application', { app: { ID: 7, CODE: 'x'.repeat(60_000) } }],
    ])('by %s whose name fills the memory: it is not believed', async (_, odd) => {
      instead = ({ method, token }) => {
        if (method !== 'batch' || token !== reader) return undefined;
        const result = { user: { ID: '2' }, admin: false, app: { ID: 7, CODE: 'local.7' }, ...odd };
        const nothing = { result_error: [], result_total: [], result_next: [], result_time: [] };
        return { body: { result: { result, ...nothing } } };
      };
      expect(await request(reader, 'GET', 'status')).toMatchObject({
        status: 503,
        body: { error: 'portal-unreachable' },
      });
    });
  });

  describe('says how the portal stands', () => {
    it('to every user: state, steps, counts without names', async () => {
      const before = await statusOf();
      expect(before).toMatchObject({
        state: 'installed',
        mode: 'both',
        lastEventAt: null,
        next: [],
        corrections: { count: 0, days: 7 },
        mirror: null,
        user: { isAdministrator: false },
      });
      expect(before.steps).toEqual([
        { step: 'connected', state: 'done' },
        { step: 'confirmed', state: 'done' },
        { step: 'events', state: 'running', done: 0, of: 2 },
      ]);
      const bindings = app.get(EventBindings);
      await bindings.save(memberId, 'ONCRMCONTACTADD', 'https://relay.example.com/b24/events', 'bound');
      await bindings.save(
        memberId,
        'ONCRMCONTACTUPDATE',
        'https://relay.example.com/b24/events',
        'out-of-scope',
      );
      await app.get(CorrectionCounts).add(memberId, NAMES, 3);
      await app.get(CorrectionCounts).add(memberId, NAMES, 4);
      await app.get(PortalJobs).request(MIRROR, memberId, 'backfill');
      await app
        .get(DataSource)
        .query(
          `UPDATE portals.tasks SET state = 'running', owner = gen_random_uuid(), lease_until = now() + interval '1 minute', progress = '{"items": 120, "part": 0.25}' WHERE member_id = $1`,
          [memberId],
        );
      const after = await statusOf();
      expect(after).toMatchObject({
        next: ['grant-permissions'],
        corrections: { count: 7 },
        mirror: { state: 'running', items: 120, part: 0.25 },
      });
      expect(after.steps.slice(2)).toEqual([
        { step: 'events', state: 'done', done: 2, of: 2 },
        { step: 'mirror', state: 'running', done: 25, of: 100 },
      ]);
    });

    it('and what the administrator has to do where events are not believed yet', async () => {
      await app
        .get(DataSource)
        .query('DELETE FROM portals.application_tokens WHERE member_id = $1', [memberId]);
      app.get(PortalCache).expire(memberId);
      const { next, steps } = await statusOf();
      expect(next).toEqual(['let-confirm']);
      expect(steps[1]).toEqual({ step: 'confirmed', state: 'waiting' });
    });

    it('and asks a portal nothing that takes no calls; only whose token was right is told why', async () => {
      expect((await request(admin, 'GET', 'status')).status).toBe(200);
      const before = checks().length;
      await app.get(DataSource).query(
        `UPDATE portals.portals SET state = 'suspended', suspended_reason = 'OVERLOAD_LIMIT',
             suspended_until = now() + interval '1 hour', suspended_times = 1 WHERE member_id = $1`,
        [memberId],
      );
      app.get(PortalCache).expire(memberId);
      expect(await put(admin, {}, 'any')).toMatchObject({ status: 503, body: { error: 'portal-suspended' } });
      for (const token of [reader, newToken()]) {
        expect(await request(token, 'GET', 'status')).toMatchObject({
          status: 503,
          body: { error: 'portal-unreachable' },
        });
      }
      expect(checks()).toHaveLength(before);
    });
  });

  describe('has settings', () => {
    const names = { firstWord: 'capital', particles: null, language: 'nl' };

    it('which an administrator changes; what the page does not know stays', async () => {
      await app.get(PortalSettings).set(memberId, MIRROR, { invoices: true, types: { exclude: [130] } });
      app.get(PortalCache).expire(memberId);
      expect(await settingsOf()).toMatchObject({
        canChange: true,
        mode: 'both',
        names: { firstWord: null, particles: null, language: null },
        types: { include: null, exclude: [130] },
      });
      const changed = await put(admin, { names, types: { include: [147, 148], exclude: [130] } });
      expect(changed.status).toBe(204);
      expect(await stored(NAMES)).toEqual({ firstWord: 'capital', language: 'nl' });
      expect(await stored(MIRROR)).toEqual({
        invoices: true,
        types: { include: [147, 148], exclude: [130] },
      });
      expect(await settingsOf()).toMatchObject({ names, types: { include: [147, 148] } });
      // Who did it, and nothing of what it was.
      expect(log.read('info')).toContainEqual({
        level: 'info',
        fields: { memberId, userId: '1', changed: ['names', 'types'] },
        message: 'settings were changed on the page in the portal',
      });
      expect((await put(admin, { names: { ...names, firstWord: null, language: null } })).status).toBe(204);
      expect(await stored(NAMES)).toEqual({});
    });

    it('which others read', async () => {
      expect(await settingsOf(reader)).toMatchObject({ canChange: false, offeredTypes: null });
      expect(await put(reader, { names })).toMatchObject({
        status: 403,
        body: { error: 'not-an-administrator' },
      });
      expect(await stored(NAMES)).toBeUndefined();
    });

    it('which somebody cannot change who was an administrator a minute ago', async () => {
      const { version, canChange } = await settingsOf();
      expect(canChange).toBe(true);
      users.set(admin, { userId: 1, isAdministrator: false });
      expect((await settingsOf()).canChange).toBe(true);
      expect(await put(admin, { names }, version)).toMatchObject({ status: 403 });
      expect(await stored(NAMES)).toBeUndefined();
      // The page knows it from now on.
      expect((await settingsOf()).canChange).toBe(false);
    });

    it('which are not overwritten unseen', async () => {
      const { version } = await settingsOf();
      expect((await put(admin, { names }, version)).status).toBe(204);
      expect(await put(admin, { names: { ...names, language: 'tr' } }, version)).toMatchObject({
        status: 409,
        body: { error: 'changed-meanwhile' },
      });
      expect(await stored(NAMES)).toMatchObject({ language: 'nl' });
    });

    it('of two that change the same version, the first', async () => {
      const { version } = await settingsOf();
      const languages = ['nl', 'tr', 'az'];
      const answers = await Promise.all(
        languages.map((language) => put(admin, { names: { ...names, language } }, version)),
      );
      expect(answers.filter(({ status }) => status === 204)).toHaveLength(1);
      expect(answers.filter(({ status }) => status === 409)).toHaveLength(2);
      const first = languages[answers.findIndex(({ status }) => status === 204)];
      expect(await stored(NAMES)).toMatchObject({ language: first });
    });

    it('and a mode, which cannot be one that brings no events', async () => {
      expect(await put(admin, { mode: 'offline' })).toMatchObject({
        status: 409,
        body: { error: 'queue-not-read' },
      });
      await app.get(Subscriptions).record(OFFLINE_PULLER, ['ONOFFLINEEVENT']);
      expect((await put(admin, { mode: 'offline' })).status).toBe(204);
      expect(await settingsOf()).toMatchObject({ mode: 'offline', isQueueRead: true });
      const [job] = await app.get(PortalJobs).latest('control-plane', memberId);
      expect(job).toMatchObject({ kind: 'bind', isInteractive: true });
      await app.get(Subscriptions).remove(OFFLINE_PULLER);
    });

    it('which the consumer has to take', async () => {
      await app.get(PortalSettings).declare(NAMES, z.strictObject({ other: z.string().optional() }));
      expect(await put(admin, { names })).toMatchObject({ status: 400, body: { error: 'bad-settings' } });
      await app.get(PortalSettings).declare(NAMES, nameSettings);
      expect(await stored(NAMES)).toBeUndefined();
    });

    it('which are stored as a whole, or not at all', async () => {
      await app.get(PortalSettings).declare(MIRROR, z.strictObject({ other: z.string().optional() }));
      const types = { include: [147], exclude: [] };
      expect(await put(admin, { names, types, mode: 'online' })).toMatchObject({
        status: 400,
        body: { error: 'bad-settings' },
      });
      await app.get(PortalSettings).declare(MIRROR, mirrorSettings);
      expect([await stored(NAMES), await stored(MIRROR)]).toEqual([undefined, undefined]);
      expect(await settingsOf()).toMatchObject({ mode: 'both' });
    });

    it.each([
      ['all of them', 120, 120, 3],
      ['no more than a page takes', 1_000_000, 500, 10],
    ])('and names of smart processes, %s', async (_, there, named, asked) => {
      instead = ({ method, params }) => {
        if (method !== 'crm.type.list') return undefined;
        const start = Number(params['start'] ?? 0);
        const ids = Array.from({ length: Math.min(50, there - start) }, (__, at) => start + at + 1);
        return { body: { result: { types: ids.map((entityTypeId) => ({ entityTypeId, title: 'one' })) } } };
      };
      const { offeredTypes } = await settingsOf();
      expect(offeredTypes).toHaveLength(named);
      expect(
        portals.calls.filter((call) => call.memberId === memberId && call.method === 'crm.type.list'),
      ).toHaveLength(asked);
    });

    it('and names of smart processes, as text without characters that cannot be seen', async () => {
      instead = ({ method }) =>
        method === 'crm.type.list'
          ? {
              body: {
                result: {
                  types: [
                    { entityTypeId: 147, title: '<img src=x onerror=alert(1)>\u202E\u0000' },
                    { entityTypeId: '148', title: 'x'.repeat(10_000) },
                  ],
                },
              },
            }
          : undefined;
      const { offeredTypes } = await settingsOf();
      expect(offeredTypes).toEqual([
        { entityTypeId: 147, title: '<img src=x onerror=alert(1)>\uFFFD\uFFFD' },
        { entityTypeId: 148, title: 'x'.repeat(120) },
      ]);
    });

    it('and asks for those once in a while, whoever opens the page', async () => {
      const other = newToken();
      users.set(other, { userId: 5, isAdministrator: true });
      await Promise.all([settingsOf(), settingsOf(), settingsOf(other)]);
      await settingsOf();
      const asked = portals.calls.filter(
        (call) => call.memberId === memberId && call.method === 'crm.type.list',
      );
      expect(asked).toHaveLength(1);
    });

    it.each([
      ['names none', { types: 'none' }],
      [
        'names so many that events would wait while they are read',
        {
          types: Array.from({ length: 30_000 }, (_, id) => ({
            entityTypeId: id + 1,
            title: 'Smart process',
          })),
        },
      ],
    ])('and does without them where the portal %s', async (_, result) => {
      instead = ({ method }) => (method === 'crm.type.list' ? { body: { result } } : undefined);
      expect((await settingsOf()).offeredTypes).toBeNull();
    });

    it.each([
      ['no JSON', '{"version":', 400],
      ['brackets', '['.repeat(10_000), 400],
      ['another shape', '{"version":"","names":{"firstWord":"loud"}}', 400],
      ['an unknown key', '{"version":"","__proto__":{"isAdministrator":true}}', 400],
      [
        'a language of any kind',
        '{"version":"","names":{"firstWord":null,"particles":null,"language":"<b>"}}',
        400,
      ],
      ['too much', JSON.stringify({ version: 'x'.repeat(17_000) }), 413],
    ])('and rejects %s before it asks the portal', async (_, body, status) => {
      expect((await request(admin, 'PUT', 'settings', body)).status).toBe(status);
      expect(checks()).toEqual([]);
    });

    it('and takes no form, which another site could send', async () => {
      const answer = await fetch(`${address}/b24/app/api/settings`, {
        method: 'PUT',
        body: new URLSearchParams({ version: '' }),
        headers: { authorization: `Bearer ${admin}`, 'b24-member-id': memberId },
      });
      expect(answer.status).toBe(415);
      const posted = await fetch(`${address}/b24/events`, {
        method: 'POST',
        body: '{}',
        headers: { 'content-type': 'application/json' },
      });
      expect(posted.status).toBe(415);
    });
  });

  describe('shows what the rules make of a name', () => {
    it('with settings that are not stored, and stores neither', async () => {
      const typed = ['von der Leyen', 'LUDWIG VAN BEETHOVEN', 'ILGIN'];
      const plain = pagePreviewResponse.parse((await previewOf(typed)).body);
      expect(plain.names).toEqual(['von der Leyen', 'Ludwig van Beethoven', 'Ilgin']);
      const other = pagePreviewResponse.parse(
        (await previewOf(typed, { firstWord: 'capital', particles: 'capital', language: 'tr' })).body,
      );
      expect(other.names).toEqual(['Von der Leyen', 'Ludwig Van Beethoven', 'Ilgın']);
      expect(await stored(NAMES)).toBeUndefined();
      expect(log.text()).not.toContain('BEETHOVEN');
    });

    it('of text, whatever it is', async () => {
      const odd = ['<script>alert(1)</script>', '\u0000', '', '\ud800', '\u202Ejohn'];
      const { status, body, headers } = await previewOf(odd);
      expect(status).toBe(200);
      expect(pagePreviewResponse.parse(body).names).toHaveLength(odd.length);
      expect(headers.get('content-type')).toContain('application/json');
    });

    it.each([
      ['many names', Array.from({ length: 11 }, () => 'anna')],
      ['a long one', ['a'.repeat(101)]],
    ])('but not %s', async (_, given) => {
      expect((await previewOf(given)).status).toBe(400);
    });

    it('each of ten names counted like a request', async () => {
      const answers = await Promise.all(Array.from({ length: 8 }, () => previewOf(Array(10).fill('anna'))));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 429]));
    });

    it('no faster than a person types, for all users of a portal', async () => {
      const answers = await Promise.all(Array.from({ length: 80 }, () => previewOf(['anna'])));
      const statuses = answers.map(({ status }) => status);
      expect(new Set(statuses)).toEqual(new Set([200, 429]));
      expect(checks()).toHaveLength(1);
    });
  });
});
