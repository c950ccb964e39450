import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { FastifyInstance } from 'fastify';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '@relay/platform';
import { TestSimulator } from '../test/support.js';
import { ViewReader } from '../test/view-reader.js';
import { FormSender } from './events/event-delivery.js';
import { createHttpServer } from './http/http-server.js';
import { Tokens } from './oauth/tokens.js';
import { addPageRoutes } from './page-routes.js';
import { Portals } from './portal/portals.js';

let b24: TestSimulator;

beforeEach(async () => {
  b24 = await TestSimulator.start();
});
afterEach(() => b24.close());

function changes(portal = 'demo'): Promise<ViewReader> {
  return ViewReader.open(`${b24.simulator.url}/_sim/portals/${portal}/changes`);
}

function pageOf(from: string): FastifyInstance {
  const made = createHttpServer(silentLog);
  const dependencies = { now: Date.now, tokens: new Tokens(), sender: new FormSender() };
  const portals = new Portals(dependencies);
  portals.add({ name: 'demo' });
  addPageRoutes(made, { portals, guide: () => 'the guide', installAt: 'http://app.example/' }, from);
  return made;
}

describe('the page', () => {
  let folder: string;
  let app: FastifyInstance;
  let url: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'simulator-page-'));
    writeFileSync(join(folder, 'index.html'), '<title>The page</title>');
    writeFileSync(join(folder, 'index-a1.js'), 'export {};');
    app = pageOf(folder);
    url = await app.listen({ port: 0, host: '127.0.0.1' });
  });
  afterAll(async () => {
    await app.close();
    rmSync(folder, { recursive: true });
  });

  async function get(path: string, headers: Record<string, string> = {}, from = url) {
    const answer = await fetch(from + path, { headers });
    return {
      status: answer.status,
      type: answer.headers.get('content-type'),
      policy: answer.headers.get('content-security-policy') ?? '',
      body: await answer.text(),
    };
  }
  const browser = { accept: 'text/html,*/*;q=0.8' };

  it('is what a browser gets at /, and may load nothing from elsewhere', async () => {
    const { policy, ...answer } = await get('/', browser);
    expect(answer).toEqual({
      status: 200,
      type: 'text/html; charset=utf-8',
      body: '<title>The page</title>',
    });
    expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self'; /);
    expect(policy).toMatch(/ form-action 'none'$/);
    expect(policy).not.toMatch(/unsafe|https?:/);
    expect((await get('/')).body).toBe('the guide');
  });

  it('frames an application of any host, and is framed by none', async () => {
    const { status, policy } = await get('/portals/demo/app/?user=2');
    expect(status).toBe(200);
    expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self'; /);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).toMatch(/ frame-src http: https:; form-action http: https:$/);
    expect((await get('/portals/nobody/app/')).status).toBe(404);
  });

  it('has its files and no other', async () => {
    expect(await get('/page/index-a1.js')).toMatchObject({
      status: 200,
      type: 'text/javascript; charset=utf-8',
    });
    for (const path of ['/page/nothing.css', '/page/..%2fmain.ts', '/page/%2e%2e%2fsimulator.ts']) {
      expect((await get(path)).status).toBe(404);
    }
  });

  it('that is not built is said to be so, and all else works', async () => {
    const bare = pageOf(join(folder, 'nothing'));
    const at = await bare.listen({ port: 0, host: '127.0.0.1' });
    expect(await get('/', browser, at)).toMatchObject({
      status: 503,
      body: expect.stringContaining('npm run build'),
    });
    expect((await get('/_sim', browser, at)).body).toBe('the guide');
    await bare.close();
  });
});

describe('changes', () => {
  it('begin with all there is, and go on with what is new', async () => {
    const stream = await changes();
    const first = await stream.until(() => true);
    expect(first).toMatchObject({
      portal: 'demo',
      portals: ['demo'],
      application: 'absent',
      limits: { rate: 2, burst: 50 },
      contacts: { total: 3, rows: [{ id: 3 }, { id: 2 }, { id: 1, fields: { name: 'anna-maria' } }] },
      processes: [{ entityTypeId: 147, title: 'Deliveries', total: 3 }],
      stats: { requests: 0 },
    });
    await b24.control('items/3', { fields: { name: 'ada' } });
    const { contacts } = await stream.until(({ contacts: { total } }) => total === 4);
    expect(contacts.rows[0]).toMatchObject({ id: 4, fields: { name: 'ada', secondName: '', lastName: '' } });
    await stream.close();
  });

  it('show who changed an item, and how long after the change before', async () => {
    const { accessToken } = await b24.install();
    const stream = await changes();
    const lastBy = async (author: string) => {
      const { contacts } = await stream.until(({ contacts: { rows } }) => rows.at(-1)?.changedBy === author);
      return contacts.rows.at(-1);
    };
    await b24.control('items/3', { id: 1, fields: { name: 'aNNA' } });
    expect(await lastBy('user')).toMatchObject({ id: 1 });
    b24.skip(1);
    await b24.callAs(accessToken, 'crm.item.update', { entityTypeId: 3, id: 1, fields: { name: 'Anna' } });
    const { before } = { ...(await lastBy('application')) };
    expect(before).toEqual({
      fields: { name: 'aNNA', secondName: '', lastName: "O'NEIL" },
      sinceMs: expect.any(Number),
    });
    expect(before).toMatchObject({ sinceMs: expect.closeTo(1000, -3) });
    await b24.call('crm.item.update', { entityTypeId: 3, id: 1, fields: { comments: 'x' } });
    expect(await lastBy('webhook')).not.toHaveProperty('before');
    await b24.control('items/3', { id: 1, fields: { name: 'A' }, by: 'robot' });
    expect(await lastBy('robot')).toMatchObject({ before: { fields: { name: 'Anna' } } });
    await stream.close();
  });

  it('show whether the application is installed, and whether a handler is bound', async () => {
    const stream = await changes();
    const { accessToken } = await b24.install();
    expect(await stream.until(({ application }) => application !== 'absent')).toMatchObject({
      application: 'installed',
    });
    await b24.callAs(accessToken, 'event.bind', {
      event: 'ONCRMCONTACTUPDATE',
      handler: 'http://127.0.0.1:1/',
    });
    expect(await stream.until(({ application }) => application !== 'installed')).toMatchObject({
      application: 'listening',
    });
    await stream.close();
  });

  it('show what a developer asks for: handlers, the offline queue, webhooks, users', async () => {
    const { accessToken } = await b24.install();
    const stream = await changes();
    const bind = (more: object) => b24.callAs(accessToken, 'event.bind', { event: 'ONCRMDEALADD', ...more });
    expect((await bind({ handler: 'http://127.0.0.1:1/' })).body).toMatchObject({ result: true });
    expect((await bind({ event_type: 'offline' })).body).toMatchObject({ result: true });
    await b24.control('items/2', { fields: { title: 'Desk lamps' } });
    await b24.control('rights', { userId: 2, administrator: true });
    const { developer } = await stream.until((seen) =>
      ['"queued":1', '"John Smith","isAdministrator":true'].every((part) =>
        JSON.stringify(seen).includes(part),
      ),
    );
    expect(developer).toMatchObject({
      installation: { userId: 1, isFinished: true },
      online: [{ event: 'ONCRMDEALADD', url: 'http://127.0.0.1:1/', kind: 'application' }],
      offline: [{ event: 'ONCRMDEALADD', connector: '' }],
      queued: 1,
      webhooks: [{ userId: 1, secret: 'demo' }],
      users: expect.arrayContaining([{ id: 3, name: 'Marie Dupont', isAdministrator: false }]),
    });
    await stream.close();
  });

  it('show the newest hundred of many', async () => {
    await b24.control('items/3', { count: 1000, fields: { name: 'n{n}' }, silent: true });
    const stream = await changes();
    const { contacts } = await stream.until(() => true);
    expect([contacts.total, contacts.rows.length, contacts.rows[0]?.id]).toEqual([1003, 100, 1003]);
    await stream.close();
  });

  it('follow a renamed portal, and end with one that is removed', async () => {
    await b24.post('/_sim/portals', { name: 'acme' });
    const stream = await changes('acme');
    await b24.control('rename', { to: 'acme-2' }, 'acme');
    await stream.until(({ portal }) => portal === 'acme-2');
    await b24.send('/_sim/portals/acme-2', { method: 'DELETE' });
    expect((await stream.toEnd()).at(-1)).toMatch(/^event: gone/);
    expect((await b24.send('/_sim/portals/acme-2/changes')).status).toBe(404);
  });

  it('do not keep the simulator from closing', async () => {
    const other = await TestSimulator.start();
    const stream = await ViewReader.open(`${other.simulator.url}/_sim/portals/demo/changes`);
    await stream.until(() => true);
    await other.close();
    expect(await stream.toEnd()).toEqual([]);
  });
});

it.each([
  ['cross-site', 403],
  ['same-site', 403],
  ['same-origin', 200],
])('what a page posts to /_sim from %s is answered %d', async (site, status) => {
  const answer = await b24.send('/_sim/portals/demo/stats', {
    method: 'DELETE',
    headers: { 'sec-fetch-site': site },
  });
  expect(answer.status).toBe(status);
});
