import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../../../test/support/eventually.js';
import { TestHandler, TestSimulator } from '../test/support.js';

let b24: TestSimulator;
let handler: TestHandler;

beforeEach(async () => {
  [b24, handler] = await Promise.all([TestSimulator.start(), TestHandler.start()]);
});
afterEach(async () => {
  await Promise.all([b24.close(), handler.close()]);
});

const bind = (token: string, event: string, more: object = {}) =>
  b24.callAs(token, 'event.bind', { event, handler: handler.url, ...more });

const received = (count: number) =>
  eventually(() => {
    expect(handler.forms).toHaveLength(count);
    return handler.forms;
  });

const names = () => handler.forms.map((form) => form.get('event'));

const quiet = () =>
  eventually(async () => expect(await b24.stats()).toMatchObject({ events: { pending: 0 } }));

describe('an online event', () => {
  it('is a form POST with PHP nesting that says only what changed', async () => {
    const { accessToken, applicationToken } = await b24.install();
    const portal = await b24.send('/_sim/portals/demo');
    await bind(accessToken, 'onCrmContactUpdate');
    await b24.control('items/3', { id: 2, fields: { name: 'x' } });
    const [form] = await received(1);
    expect(handler.requests[0]?.contentType).toBe('application/x-www-form-urlencoded');
    expect(handler.requests[0]?.body).toMatch(
      /^event=ONCRMCONTACTUPDATE&event_handler_id=1&data%5BFIELDS%5D%5BID%5D=2&ts=\d{10}&auth%5B/,
    );
    expect(Object.fromEntries(form ?? [])).toEqual({
      event: 'ONCRMCONTACTUPDATE',
      event_handler_id: '1',
      'data[FIELDS][ID]': '2',
      ts: expect.stringMatching(/^\d{10}$/),
      'auth[access_token]': expect.any(String),
      'auth[expires]': expect.any(String),
      'auth[expires_in]': '3600',
      'auth[user_id]': '1',
      'auth[domain]': 'demo.bitrix24.test',
      'auth[server_endpoint]': `${b24.simulator.url}/rest/`,
      'auth[client_endpoint]': `${b24.simulator.url}/portals/demo/rest/`,
      'auth[member_id]': portal.at('member_id'),
      'auth[scope]': 'crm user_brief imopenlines',
      'auth[status]': 'L',
      'auth[application_token]': applicationToken,
    });
    const token = form?.get('auth[access_token]') ?? '';
    expect((await b24.callAs(token, 'profile')).status).toBe(200);
  });

  it('comes for add, update and delete, whoever did it: a user, a webhook or the application itself', async () => {
    const { accessToken } = await b24.install();
    for (const change of ['ADD', 'UPDATE', 'DELETE']) await bind(accessToken, `ONCRMCONTACT${change}`);
    const added = await b24.control('items/3', { fields: { name: 'x' } });
    const id = added.at('id');
    await received(1);
    await b24.callAs(accessToken, 'crm.item.update', { entityTypeId: 3, id, fields: { name: 'x' } });
    await received(2);
    await b24.call('crm.item.delete', { entityTypeId: 3, id });
    await received(3);
    expect(names()).toEqual(['ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE', 'ONCRMCONTACTDELETE']);
    expect(new Set(handler.forms.map((form) => form.get('data[FIELDS][ID]')))).toEqual(new Set([String(id)]));
  });

  it('carries no tokens when a robot caused it', async () => {
    const { accessToken, applicationToken } = await b24.install();
    await bind(accessToken, 'ONCRMCONTACTUPDATE');
    await b24.control('items/3', { id: 2, fields: { name: 'x' }, by: 'robot' });
    const [form] = await received(1);
    expect(form?.has('auth[access_token]')).toBe(false);
    expect(form?.get('auth[application_token]')).toBe(applicationToken);
  });

  it('of a smart process item names the process; its suffixed form comes to who bound that', async () => {
    const { accessToken } = await b24.install();
    await bind(accessToken, 'ONCRMDYNAMICITEMUPDATE');
    await bind(accessToken, 'ONCRMDYNAMICITEMUPDATE_147');
    await b24.control('items/147', { id: 1, fields: { title: 'x' } });
    const forms = await received(2);
    expect(new Set(names())).toEqual(new Set(['ONCRMDYNAMICITEMUPDATE', 'ONCRMDYNAMICITEMUPDATE_147']));
    for (const form of forms) {
      expect([form.get('data[FIELDS][ID]'), form.get('data[FIELDS][ENTITY_TYPE_ID]')]).toEqual(['1', '147']);
    }
  });

  it('of a new invoice is one of smart process items, of a contact is not', async () => {
    const { accessToken } = await b24.install();
    await bind(accessToken, 'ONCRMDYNAMICITEMADD');
    await b24.call('crm.item.add', { entityTypeId: 3, fields: { name: 'x' } });
    await b24.call('crm.item.add', { entityTypeId: 31, fields: {} });
    const [form] = await received(1);
    expect(form?.get('data[FIELDS][ENTITY_TYPE_ID]')).toBe('31');
    await quiet();
    expect(handler.forms).toHaveLength(1);
  });

  it('of a smart process itself carries its primary key', async () => {
    const { accessToken } = await b24.install();
    for (const change of ['ADD', 'UPDATE', 'DELETE']) await bind(accessToken, `ONCRMTYPE${change}`);
    const type = await b24.call('crm.type.add', { fields: { title: 'Visits' } });
    const id = type.at('result.type.id');
    await b24.call('crm.type.update', { id, fields: { title: 'Meetings' } });
    await b24.call('crm.type.delete', { id });
    const forms = await received(3);
    expect(new Set(names())).toEqual(new Set(['ONCRMTYPEADD', 'ONCRMTYPEUPDATE', 'ONCRMTYPEDELETE']));
    for (const form of forms) expect(form.get('data[FIELDS][ID]')).toBe(String(id));
  });

  it('is not sent when it is not bound', async () => {
    const { accessToken } = await b24.install();
    await bind(accessToken, 'ONCRMCONTACTADD');
    await b24.control('items/3', { id: 2, fields: { name: 'x' } });
    await quiet();
    expect(await b24.stats()).toMatchObject({ events: { sent: 0 } });
  });

  it('is never sent again, whatever the answer, and the answer is counted', async () => {
    const { accessToken } = await b24.install();
    await bind(accessToken, 'ONCRMCONTACTUPDATE');
    handler.status = 503;
    await b24.control('items/3', { id: 1, fields: {} });
    await received(1);
    handler.status = 200;
    await b24.control('items/3', { id: 2, fields: {} });
    await received(2);
    await quiet();
    expect(await b24.stats()).toMatchObject({
      events: { sent: 2, answers: { '200': 1, '503': 1 }, names: { ONCRMCONTACTUPDATE: 2 } },
    });
  });

  it('to nobody or to a silent handler is counted as what went wrong', async () => {
    const { accessToken } = await b24.install();
    await b24.send('/_sim/portals/demo', { method: 'PATCH', body: '{"eventTimeoutMs": 50}' });
    await b24.callAs(accessToken, 'event.bind', { event: 'ONCRMCONTACTADD', handler: 'http://127.0.0.1:1/' });
    await bind(accessToken, 'ONCRMCONTACTADD');
    handler.hold();
    await b24.control('items/3', { fields: {} });
    await quiet();
    expect(await b24.stats()).toMatchObject({ events: { answers: { ECONNREFUSED: 1, timeout: 1 } } });
  });

  it('waits in the queue while ten are with a slow handler', async () => {
    const { accessToken } = await b24.install();
    await bind(accessToken, 'ONCRMCONTACTADD');
    const open = handler.hold();
    await b24.control('items/3', { count: 40, fields: { name: 'x' } });
    await received(10);
    expect(await b24.stats()).toMatchObject({ events: { pending: 40, sent: 0 } });
    open();
    await received(40);
    expect(handler.mostAtOnce).toBe(10);
  });
});

describe('event.bind', () => {
  it('tells of an unknown event, of a missing handler and of a duplicate', async () => {
    const { accessToken } = await b24.install();
    expect((await bind(accessToken, 'ONNONSENSE')).error).toEqual([400, 'ERROR_EVENT_NOT_FOUND']);
    expect((await bind(accessToken, 'ONCRMDYNAMICITEMADD_999')).error).toEqual([
      400,
      'ERROR_EVENT_NOT_FOUND',
    ]);
    expect((await bind(accessToken, 'ONCRMDEALADD', { handler: '' })).error).toEqual([400, 'ERROR_ARGUMENT']);
    expect((await bind(accessToken, 'ONCRMDEALADD', { event_type: 'offline' })).status).toBe(400);
    expect((await bind(accessToken, 'ONCRMDEALADD')).at('result')).toBe(true);
    const again = await bind(accessToken, 'oncrmdealadd');
    expect(again.error).toEqual([400, 'ERROR_CORE']);
    expect(again.at('error_description')).toMatch(/^Unable to set event handler/);
  });

  it('offers suffixed events only where the portal does, and only of its smart processes', async () => {
    await b24.post('/_sim/portals', {
      name: 'old',
      suffixedEvents: false,
      types: [{ entityTypeId: 147, title: 'Orders' }],
    });
    const [demo, old] = [await b24.install('demo'), await b24.install('old')];
    expect((await b24.callAs(demo.accessToken, 'events')).at('result')).toContain('ONCRMDYNAMICITEMADD_147');
    expect((await b24.callAs(old.accessToken, 'events', {}, 'old')).at('result')).not.toContain(
      'ONCRMDYNAMICITEMADD_147',
    );
    const params = { event: 'ONCRMDYNAMICITEMADD_147', handler: handler.url };
    expect((await b24.callAs(old.accessToken, 'event.bind', params, 'old')).error).toEqual([
      400,
      'ERROR_EVENT_NOT_FOUND',
    ]);
  });

  it('is listed by event.get and undone by event.unbind', async () => {
    const { accessToken } = await b24.install();
    await bind(accessToken, 'ONCRMDEALADD');
    await bind(accessToken, 'ONCRMDEALADD', { auth_type: 1 });
    await bind(accessToken, 'ONCRMLEADADD');
    expect((await b24.callAs(accessToken, 'event.get')).at('result')).toEqual([
      { event: 'ONCRMDEALADD', handler: handler.url, auth_type: '0', offline: 0 },
      { event: 'ONCRMDEALADD', handler: handler.url, auth_type: '1', offline: 0 },
      { event: 'ONCRMLEADADD', handler: handler.url, auth_type: '0', offline: 0 },
    ]);
    const unbind = async (params: object) =>
      (await b24.callAs(accessToken, 'event.unbind', params)).at('result');
    expect(await unbind({ event: 'ONCRMDEALADD', handler: handler.url, auth_type: 0 })).toEqual({ count: 1 });
    expect(await unbind({ event: 'ONCRMLEADADD', handler: 'http://other.test/' })).toEqual({ count: 0 });
    expect(await unbind({})).toEqual({ count: 2 });
  });
});

it('event.test fires ONAPPTEST with what was passed', async () => {
  const { accessToken } = await b24.install();
  await bind(accessToken, 'ONAPPTEST');
  expect((await b24.callAs(accessToken, 'event.test', { any: 'data', deep: { er: 1 } })).at('result')).toBe(
    1,
  );
  const [form] = await received(1);
  expect([form?.get('event'), form?.get('data[QUERY][any]'), form?.get('data[QUERY][deep][er]')]).toEqual([
    'ONAPPTEST',
    'data',
    '1',
  ]);
  expect(form?.has('data[QUERY][auth]')).toBe(false);
});

it('an outgoing webhook has an application token of its own and gets no tokens', async () => {
  const { applicationToken } = await b24.install();
  const webhook = await b24.control('outgoing-webhooks', { event: 'onCrmContactUpdate', url: handler.url });
  await b24.control('items/3', { id: 1, fields: {} });
  const [form] = await received(1);
  expect([...(form?.keys() ?? [])].filter((key) => key.startsWith('auth'))).toEqual([
    'auth[domain]',
    'auth[server_endpoint]',
    'auth[client_endpoint]',
    'auth[member_id]',
    'auth[application_token]',
  ]);
  expect(form?.get('auth[application_token]')).toBe(webhook.at('application_token'));
  expect(webhook.at('application_token')).not.toBe(applicationToken);
});
