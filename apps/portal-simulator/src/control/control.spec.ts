import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../../../../test/support/eventually.js';
import { TestHandler, TestSimulator } from '../../test/support.js';

let b24: TestSimulator;

beforeEach(async () => {
  b24 = await TestSimulator.start();
});
afterEach(() => b24.close());

describe('the portal demo', () => {
  it('is there from the start, with contacts and a smart process', async () => {
    const contacts = await b24.call('crm.item.list', { entityTypeId: 3 });
    expect(contacts.at('total')).toBe(3);
    expect((await b24.call('crm.type.list')).at('result.types.0.entityTypeId')).toBe(147);
    expect((await b24.call('crm.item.list', { entityTypeId: 147 })).at('total')).toBe(3);
    expect((await b24.send('/_sim/portals')).at('0')).toMatchObject({
      name: 'demo',
      member_id: expect.stringMatching(/^[\da-f]{32}$/),
      webhooks: [`${b24.simulator.url}/portals/demo/rest/1/demo/`],
    });
  });

  it('is the same portal in every run', async () => {
    const other = await TestSimulator.start();
    const [one, two] = await Promise.all([b24.send('/_sim/portals/demo'), other.send('/_sim/portals/demo')]);
    expect(one.at('member_id')).toBe(two.at('member_id'));
    await other.close();
  });

  it('has the application installed once the address given at the start answers 200', async () => {
    const handler = await TestHandler.start();
    handler.status = 503;
    const other = await TestSimulator.start({ installDemoAt: handler.url });
    await eventually(() => expect(handler.forms).toHaveLength(1));
    expect((await other.send('/health/ready')).status).toBe(503);
    handler.status = 200;
    await eventually(async () => expect((await other.send('/health/ready')).status).toBe(200));
    expect((await other.send('/_sim/portals/demo')).at('installed')).toBe(true);
    const token = handler.forms.at(-1)?.get('auth[access_token]') ?? '';
    expect((await other.callAs(token, 'profile')).status).toBe(200);
    await Promise.all([other.close(), handler.close()]);
  });

  it('closes while it still waits for that address', async () => {
    const other = await TestSimulator.start({ installDemoAt: 'http://127.0.0.1:1/' });
    expect((await other.send('/health/live')).status).toBe(200);
    expect((await other.send('/health/ready')).status).toBe(503);
    await other.close();
  });

  it('is explained at /', async () => {
    expect((await b24.send('/')).body).toContain(`${b24.simulator.url}/portals/demo/rest/1/demo/`);
  });
});

describe('portals', () => {
  it('are made with limits of their own, once', async () => {
    const made = await b24.post('/_sim/portals', { name: 'acme', rate: 5, burst: 250 });
    expect(made.status).toBe(201);
    expect(made.at('settings')).toMatchObject({ rate: 5, burst: 250 });
    expect((await b24.post('/_sim/portals', { name: 'acme' })).status).toBe(409);
    expect((await b24.send('/_sim/portals/acme', { method: 'DELETE' })).status).toBe(200);
    expect((await b24.call('profile', {}, 'acme')).status).toBe(404);
  });

  it('are not made of invalid settings, and the response says what is wrong', async () => {
    const answer = await b24.post('/_sim/portals', { name: 'a b', speed: 1 });
    expect(answer.status).toBe(400);
    expect(answer.text('error')).toMatch(/speed[^]*name/);
    expect((await b24.post('/_sim/portals', '{')).status).toBe(400);
    expect((await b24.control('rename', { to: 'x' }, 'nobody')).status).toBe(404);
  });

  it('get handlers of the application from other programs, and lose them all, without an event', async () => {
    expect((await b24.control('handlers', { event: 'ONCRMLEADADD' })).status).toBe(409);
    const { accessToken } = await b24.install();
    const url = 'https://somebody.example.org/hook';
    expect((await b24.control('handlers', { event: 'onCrmLeadAdd', url })).at('bound')).toBe(true);
    expect((await b24.control('handlers', { event: 'onCrmLeadAdd', url })).at('bound')).toBe(false);
    expect((await b24.control('handlers', { event: 'onCrmLeadAdd' })).at('bound')).toBe(true);
    expect((await b24.callAs(accessToken, 'event.get')).at('result')).toEqual([
      { event: 'ONCRMLEADADD', handler: url, auth_type: '0', offline: 0 },
      { event: 'ONCRMLEADADD', connector_id: '', offline: 1 },
    ]);
    const removed = await b24.send('/_sim/portals/demo/handlers', { method: 'DELETE' });
    expect(removed.at('removed')).toBe(2);
    expect((await b24.callAs(accessToken, 'event.get')).at('result')).toEqual([]);
  });

  it('once renamed answer 302 at the old address, and keep their member_id', async () => {
    const { accessToken, refreshToken } = await b24.install();
    const before = await b24.send('/_sim/portals/demo');
    const after = await b24.control('rename', { to: 'acme' });
    expect(after.body).toMatchObject({ member_id: before.at('member_id'), domain: 'acme.bitrix24.test' });
    const moved = await b24.callAs(accessToken, 'profile?x=1');
    expect(moved.status).toBe(302);
    expect(moved.headers.get('location')).toBe(`${b24.simulator.url}/portals/acme/rest/profile?x=1`);
    expect((await b24.callAs(accessToken, 'profile', {}, 'acme')).status).toBe(200);
    expect((await b24.refresh(refreshToken)).at('client_endpoint')).toBe(
      `${b24.simulator.url}/portals/acme/rest/`,
    );
    expect((await b24.control('rename', { to: 'acme' })).status).toBe(409);
  });

  it('once renamed are called by the new domain and address in events, pages and OAuth answers', async () => {
    const handler = await TestHandler.start();
    const { accessToken } = await b24.install();
    await b24.callAs(accessToken, 'event.bind', { event: 'ONCRMCONTACTUPDATE', handler: handler.url });
    await b24.control('rename', { to: 'acme' });
    await b24.control('items/3', { id: 1, fields: {} }, 'acme');
    await eventually(() => expect(handler.forms).toHaveLength(1));
    expect(Object.fromEntries(handler.forms[0] ?? [])).toMatchObject({
      'auth[domain]': 'acme.bitrix24.test',
      'auth[client_endpoint]': `${b24.simulator.url}/portals/acme/rest/`,
    });
    await b24.control('open', { url: handler.url }, 'acme');
    expect(handler.requests[1]?.query.get('DOMAIN')).toBe('acme.bitrix24.test');
    const granted = await b24.refresh(handler.forms[1]?.get('REFRESH_ID') ?? '');
    expect(granted.at('client_endpoint')).toBe(`${b24.simulator.url}/portals/acme/rest/`);
    await handler.close();
  });

  it('renamed twice lead from either old address to the present one; a name given up can be taken back', async () => {
    await b24.control('rename', { to: 'acme' });
    await b24.control('rename', { to: 'acme-2' }, 'acme');
    for (const old of ['demo', 'acme']) {
      const moved = await b24.post(`/portals/${old}/rest/1/demo/batch`, { cmd: ['profile'] });
      expect([moved.status, moved.headers.get('location')]).toEqual([
        302,
        `${b24.simulator.url}/portals/acme-2/rest/1/demo/batch`,
      ]);
      expect(moved.body).toContain('302 Found');
    }
    expect((await b24.post('/_sim/portals', { name: 'acme' })).status).toBe(409);
    expect((await b24.control('rename', { to: 'demo' }, 'acme-2')).status).toBe(200);
    expect((await b24.call('profile')).status).toBe(200);
    expect((await b24.call('profile', {}, 'acme-2')).status).toBe(302);
  });
});

describe('items under /_sim', () => {
  it('are added, changed, read and deleted without a request of REST', async () => {
    const added = await b24.control('items/3', { fields: { name: 'olena {n}' } });
    expect([added.status, added.at('name')]).toEqual([201, 'olena 4']);
    expect((await b24.control('items/3', { id: 4, fields: { lastName: 'X' } })).at('lastName')).toBe('X');
    expect((await b24.send('/_sim/portals/demo/items/3/4')).body).toMatchObject({
      name: 'olena 4',
      lastName: 'X',
    });
    expect((await b24.send('/_sim/portals/demo/items/3?after=2&limit=1')).body).toMatchObject({
      total: 4,
      items: [{ id: 3 }],
    });
    await b24.send('/_sim/portals/demo/items/3/4', { method: 'DELETE' });
    expect((await b24.send('/_sim/portals/demo/items/3/4')).error).toEqual([400, 'NOT_FOUND']);
    expect(await b24.stats()).toMatchObject({ requests: 0, calls: {} });
  });

  it('can be 100,000, added without events and read by keyset', async () => {
    await b24.control('items/147', { count: 100_000, fields: { title: 'Row {n}' }, silent: true });
    const page = await b24.call('crm.item.list', {
      entityTypeId: 147,
      start: -1,
      filter: { '>id': 99_999 },
      select: ['id', 'title'],
    });
    expect(page.at('result.items.0')).toEqual({ id: 100_000, title: 'Row 100000' });
  });

  it('changed in mass fire an event each', async () => {
    const handler = await TestHandler.start();
    const { accessToken } = await b24.install();
    await b24.callAs(accessToken, 'event.bind', { event: 'ONCRMCONTACTUPDATE', handler: handler.url });
    await b24.control('items/3', { count: 100, fields: { name: 'x' }, silent: true });
    const answer = await b24.control('mass-update', {
      entityTypeId: 3,
      count: 80,
      fields: { name: 'jOHN {n}' },
    });
    expect(answer.at('updated')).toBe(80);
    await eventually(async () => {
      expect(await b24.stats()).toMatchObject({ events: { sent: 80, pending: 0, answers: { '200': 80 } } });
    });
    expect((await b24.send('/_sim/portals/demo/items/3/80')).at('name')).toBe('jOHN 80');
    expect((await b24.send('/_sim/portals/demo/items/3/81')).at('name')).toBe('x');
    await handler.close();
  });
});

it('stats count requests, calls by method and renewals, and start again when deleted', async () => {
  const { accessToken, refreshToken } = await b24.install();
  await b24.callAs(accessToken, 'profile');
  await b24.callAs(accessToken, 'PROFILE');
  await b24.callAs('junk', 'profile');
  await b24.refresh(refreshToken);
  expect(await b24.stats()).toEqual({
    requests: 3,
    calls: { profile: 2, 'oauth.token': 1 },
    refusals: 0,
    addresses: { '127.0.0.1': { requests: 3, refusals: 0 } },
    renewals: 1,
    events: { sent: 0, pending: 0, answers: {}, names: {} },
  });
  await b24.send('/_sim/portals/demo/stats', { method: 'DELETE' });
  expect(await b24.stats()).toMatchObject({ requests: 0, calls: {}, renewals: 0 });
});
