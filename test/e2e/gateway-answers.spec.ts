import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { connect } from 'node:net';
import pg from 'pg';
import { eventually } from '../support/eventually.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { Installed, SimulatedPortal } from '../support/simulated-portal.js';

/** Real: gateway and PostgreSQL, with the bus in it. Simulated: Bitrix24. */
describe('the gateway', () => {
  let relay: Relay;
  let portal: SimulatedPortal;
  let other: SimulatedPortal;
  let installed: Installed;
  const used: string[] = [];

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', []);
    portal = await relay.portal('acme');
    other = await relay.portal('other');
    installed = await portal.install(`${relay.gatewayUrl}/b24/install`);
    expect(installed.status).toBe(200);
    used.push(installed.application_token, installed.access_token, installed.refresh_token);
  }, 240_000);
  afterAll(() => relay?.stop(), 120_000);

  interface Answer {
    status: number;
    body: string;
  }

  async function post(
    path: string,
    body: string | Uint8Array<ArrayBuffer>,
    type = 'application/x-www-form-urlencoded',
  ): Promise<Answer> {
    const answer = await fetch(`${relay.gatewayUrl}${path}`, {
      method: 'POST',
      body,
      headers: { 'content-type': type },
    });
    return { status: answer.status, body: await answer.text() };
  }

  function eventForm(fields: Record<string, string> = {}, without: readonly string[] = []): string {
    const form = new URLSearchParams({
      event: 'ONCRMCONTACTUPDATE',
      event_handler_id: '12',
      'data[FIELDS][ID]': '82',
      ts: '1724697689',
      'auth[domain]': portal.domain,
      'auth[member_id]': portal.memberId,
      'auth[application_token]': installed.application_token,
      ...fields,
    });
    for (const name of without) form.delete(name);
    return form.toString();
  }

  function installForm(fields: Record<string, string>): string {
    return new URLSearchParams({
      event: 'ONAPPINSTALL',
      'data[VERSION]': '1',
      'data[LANGUAGE_ID]': 'en',
      ts: '1724697689',
      'auth[access_token]': randomBytes(35).toString('hex'),
      'auth[refresh_token]': randomBytes(35).toString('hex'),
      'auth[expires_in]': '3600',
      'auth[domain]': portal.domain,
      'auth[member_id]': portal.memberId,
      'auth[application_token]': randomBytes(16).toString('hex'),
      ...fields,
    }).toString();
  }

  it('answers 200 to an event with the token of its portal', async () => {
    expect(await post('/b24/events', eventForm())).toEqual({ status: 200, body: '' });
  });

  const deep = `data${'[a]'.repeat(30)}=1`;
  const many = Array.from({ length: 10_000 }, (_, n) => `data[${n}]=1`).join('&');
  const badForms: [string, () => string | Uint8Array<ArrayBuffer>][] = [
    ['an empty body', () => ''],
    ['a body that is no form', () => '{"event":"ONCRMCONTACTUPDATE"}'],
    ['no event name', () => eventForm({}, ['event'])],
    ['an event name with signs that no event has', () => eventForm({ event: 'ON CRM*#' })],
    ['no member_id', () => eventForm({}, ['auth[member_id]'])],
    ['an auth that is a text', () => 'event=ONCRMCONTACTUPDATE&ts=1&auth=x'],
    ['10,000 pairs', () => `${eventForm()}&${many}`],
    ['30 levels', () => `${eventForm()}&${deep}`],
    [
      'bytes that are not UTF-8',
      () => Buffer.concat([Buffer.from(`${eventForm()}&data[x]=`), Buffer.from([0xc3, 0x28])]),
    ],
    ['escapes that are not UTF-8', () => `${eventForm()}&data[x]=%C3%28`],
  ];
  it.each(badForms)('answers 400 to %s', async (_what, body) => {
    const answer = await post('/b24/events', body());
    expect(answer.status).toBe(400);
    expect(answer.body).toMatch(/^\{"error":"[\w-]+"\}$/);
  });

  const forged: [string, () => string][] = [
    ['a wrong token', () => eventForm({ 'auth[application_token]': randomBytes(16).toString('hex') })],
    [
      'the right token, cut',
      () => eventForm({ 'auth[application_token]': installed.application_token.slice(0, -1) }),
    ],
    ['no token', () => eventForm({}, ['auth[application_token]'])],
    ['an empty token', () => eventForm({ 'auth[application_token]': '' })],
    ['an unknown portal', () => eventForm({ 'auth[member_id]': randomBytes(16).toString('hex') })],
    ["another portal's member_id", () => eventForm({ 'auth[member_id]': other.memberId })],
    [
      'a forged uninstall',
      () => eventForm({ event: 'ONAPPUNINSTALL', 'auth[application_token]': 'x'.repeat(32) }),
    ],
    ['a forged update', () => installForm({ event: 'ONAPPUPDATE' })],
  ];
  it.each(forged)('answers 401 to %s', async (_what, body) => {
    const answer = await post('/b24/events', body());
    expect(answer.status).toBe(401);
    expect(answer.body).toMatch(/^\{"error":"[\w-]+"\}$/);
  });

  it('takes an address that ends in a slash', async () => {
    expect(await post('/b24/events/', eventForm())).toEqual({ status: 200, body: '' });
    expect((await post('/b24/install/', 'event=ONAPPINSTALL')).status).toBe(400);
    expect((await post('/b24/app/', 'AUTH_ID=x')).status).toBe(400);
  });

  it.each(['/b24/events', '/b24/install'])(
    'takes the news of a system user at %s for no install',
    async (path) => {
      const token = randomBytes(35).toString('hex');
      used.push(token);
      const before = (await portal.statistics()).renewals;
      const form = eventForm({
        event: 'ONAPPUSERREADY',
        'data[access_token]': token,
        'data[refresh_token]': token,
        'data[user_id]': '512',
        'auth[domain]': 'oauth.bitrix.info',
        'auth[access_token]': token,
        'auth[refresh_token]': token,
      });
      expect(await post(path, form)).toEqual({ status: 200, body: '' });
      const unproved = new URLSearchParams(form);
      unproved.set('auth[application_token]', 'forged');
      expect((await post(path, unproved.toString())).status).toBe(401);
      expect((await portal.statistics()).renewals).toBe(before);
      const database = new pg.Client({ connectionString: relay.env['DATABASE_URL'] });
      await database.connect();
      try {
        const { rows } = await database.query<{ stored: string }>(
          `SELECT coalesce(string_agg(b::text, ''), '') AS stored FROM bus.unrouted b WHERE b::text LIKE '%ONAPPUSERREADY%'`,
        );
        expect(rows[0]?.stored).toContain('ONAPPUSERREADY');
        expect(rows[0]?.stored).not.toContain(token);
      } finally {
        await database.end();
      }
    },
  );

  it('takes the last of two equal keys, as PHP does', async () => {
    const right = `auth[application_token]=${installed.application_token}`;
    expect((await post('/b24/events', `${eventForm()}&auth[application_token]=wrong`)).status).toBe(401);
    expect(
      (await post('/b24/events', `${eventForm({ 'auth[application_token]': 'wrong' })}&${right}`)).status,
    ).toBe(200);
  });

  it('takes __proto__ and constructor as names like any other', async () => {
    const body = `${eventForm()}&__proto__[polluted]=1&data[__proto__][polluted]=1&data[constructor][prototype][polluted]=1`;
    expect((await post('/b24/events', body)).status).toBe(200);
    expect((await post('/b24/events', eventForm())).status).toBe(200);
  });

  it.each(['application/json', 'text/plain', 'multipart/form-data; boundary=x', 'nonsense'])(
    'answers 415 to %s',
    async (type) => {
      expect((await post('/b24/events', eventForm(), type)).status).toBe(415);
    },
  );

  it('answers 415 to a body without a type', async () => {
    expect((await post('/b24/events', new TextEncoder().encode(eventForm()), '')).status).toBe(415);
  });

  it('answers 413 to 10 MB, announced or not, as soon as it can know', async () => {
    expect(await statusOf({ 'content-length': String(10 * 1024 * 1024) }, '')).toBe(413);
    expect(await statusOf({ 'transfer-encoding': 'chunked' }, 'x'.repeat(257 * 1024))).toBe(413);
  });

  /** Sends no more than the beginning: what comes after would only find a closed socket. */
  function statusOf(headers: Record<string, string>, beginning: string): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const outgoing = request(`${relay.gatewayUrl}/b24/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
      });
      outgoing.on('response', (answer) => {
        answer.resume();
        resolve(answer.statusCode);
        outgoing.destroy();
      });
      outgoing.on('error', reject);
      outgoing.flushHeaders();
      outgoing.write(beginning);
    });
  }

  it('has nothing else on its public port', async () => {
    for (const path of ['/', '/metrics', '/health/ready', '/b24', '/b24/events', '/ops/api/portals']) {
      expect([path, (await fetch(`${relay.gatewayUrl}${path}`)).status]).toEqual([path, 404]);
    }
    expect((await fetch(`${relay.gatewayUrl}/health/live`)).status).toBe(200);
  });

  it('does not install a portal on junk', async () => {
    const body = installForm({ 'auth[member_id]': other.memberId });
    expect((await post('/b24/install', body)).status).toBe(401);
    expect((await post('/b24/install', '')).status).toBe(400);
    expect((await post('/b24/install', '{}', 'application/json')).status).toBe(415);
  });

  it("does not install a portal on another member's valid tokens", async () => {
    const victim = await relay.portal('victim');
    const attacker = await relay.portal('attacker');
    const valid = await attacker.install();
    const chosen = randomBytes(16).toString('hex');
    used.push(valid.refresh_token, valid.access_token, chosen);
    const body = installForm({
      'auth[member_id]': victim.memberId,
      'auth[domain]': victim.domain,
      'auth[access_token]': valid.access_token,
      'auth[refresh_token]': valid.refresh_token,
      'auth[application_token]': chosen,
    });
    expect((await post('/b24/install', body)).status).toBe(401);
    const event = eventForm({ 'auth[member_id]': victim.memberId, 'auth[application_token]': chosen });
    expect((await post('/b24/events', event)).status).toBe(401);
  });

  it('installs an application without a page by its callback', async () => {
    const { status, application_token } = await other.install(`${relay.gatewayUrl}/b24/install`, 'callback');
    expect(status).toBe(200);
    const event = eventForm({
      'auth[member_id]': other.memberId,
      'auth[application_token]': application_token,
    });
    expect((await post('/b24/events', event)).status).toBe(200);
  });

  it('lets events in from the moment that it has confirmed the install, also where it was asked before', async () => {
    for (let number = 1; number <= 20; number += 1) {
      const quick = await relay.portal(`quick-${number}`);
      const form = (token: string) =>
        eventForm({ 'auth[member_id]': quick.memberId, 'auth[application_token]': token });
      expect((await post('/b24/events', form('a token of before'))).status).toBe(401);
      const { application_token } = await quick.install(`${relay.gatewayUrl}/b24/install`);
      const answers = await Promise.all([1, 2, 3, 4].map(() => post('/b24/events', form(application_token))));
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    }
  }, 240_000);

  it('does not echo an address that is none', async () => {
    const answer = await rawGet('/b24/%zzX');
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
    expect(answer).not.toContain('%zz');
  });

  /** fetch would mend the address first. */
  function rawGet(path: string): Promise<string> {
    const { hostname, port } = new URL(relay.gatewayUrl);
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname);
      const parts: string[] = [];
      socket.setEncoding('utf8').on('data', (part: string) => parts.push(part));
      socket.on('error', reject).on('close', () => resolve(parts.join('')));
      socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
    });
  }

  it('keeps an install that cannot be checked, and finishes it when the OAuth server is back', async () => {
    const late = await relay.portal('late');
    const claim = await late.install();
    used.push(claim.application_token, claim.refresh_token);
    const lateForm = (fields: Record<string, string>) =>
      installForm({ 'auth[member_id]': late.memberId, 'auth[domain]': late.domain, ...fields });
    await relay.outside.cut();
    const body = lateForm({
      'auth[refresh_token]': claim.refresh_token,
      'auth[application_token]': claim.application_token,
    });
    expect((await post('/b24/install', body)).status).toBe(503);
    await relay.outside.mend();
    const event = eventForm({
      'auth[member_id]': late.memberId,
      'auth[application_token]': claim.application_token,
    });
    await eventually(async () => expect((await post('/b24/events', event)).status).toBe(200), {
      timeoutMs: 60_000,
    });
  }, 240_000);

  it('rejects the events of a portal after its uninstall, and takes the uninstall twice', async () => {
    const gone = await relay.portal('gone');
    const { application_token } = await gone.install(`${relay.gatewayUrl}/b24/install`);
    used.push(application_token);
    const form = (event: string) =>
      eventForm({ event, 'auth[member_id]': gone.memberId, 'auth[application_token]': application_token });
    expect((await post('/b24/events', form('ONCRMCONTACTADD'))).status).toBe(200);
    expect((await post('/b24/events', form('ONAPPUNINSTALL'))).status).toBe(200);
    expect((await post('/b24/events', form('ONCRMCONTACTADD'))).status).toBe(401);
    expect((await post('/b24/events', form('ONAPPUNINSTALL'))).status).toBe(200);
  });

  it('has logged all of this without a secret and without a stack of a rejected request', async () => {
    const log = relay.log();
    expect(log).toContain('request rejected');
    for (const secret of [...used, ...relay.secrets]) expect(log.includes(secret)).toBe(false);
    expect(
      log.split('\n').filter((line) => line.includes('"status":40') && line.includes('    at ')),
    ).toEqual([]);
  });
});
