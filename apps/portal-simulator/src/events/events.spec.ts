import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { eventually } from '../../../../test/support/eventually.js';
import { TestHandler, TestSimulator } from '../../test/support.js';

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

/** `auth` of an event that no user caused. */
const proofKeys = ['domain', 'server_endpoint', 'client_endpoint', 'member_id', 'application_token'].map(
  (key) => `auth[${key}]`,
);

/** api-reference/events/events.md, at a portal with a smart process 147 */
const documented = `
  ONAPPUNINSTALL ONAPPINSTALL ONAPPUPDATE ONAPPPAYMENT ONAPPTEST ONAPPMETHODCONFIRM ONOFFLINEEVENT ONUSERADD
  ONCRMINVOICEADD ONCRMINVOICEUPDATE ONCRMINVOICEDELETE ONCRMINVOICESETSTATUS
  ONCRMLEADADD ONCRMLEADUPDATE ONCRMLEADDELETE ONCRMLEADUSERFIELDADD ONCRMLEADUSERFIELDUPDATE
  ONCRMLEADUSERFIELDDELETE ONCRMLEADUSERFIELDSETENUMVALUES
  ONCRMDEALADD ONCRMDEALUPDATE ONCRMDEALDELETE ONCRMDEALMOVETOCATEGORY ONCRMDEALUSERFIELDADD
  ONCRMDEALUSERFIELDUPDATE ONCRMDEALUSERFIELDDELETE ONCRMDEALUSERFIELDSETENUMVALUES
  ONCRMCOMPANYADD ONCRMCOMPANYUPDATE ONCRMCOMPANYDELETE ONCRMCOMPANYUSERFIELDADD ONCRMCOMPANYUSERFIELDUPDATE
  ONCRMCOMPANYUSERFIELDDELETE ONCRMCOMPANYUSERFIELDSETENUMVALUES
  ONCRMCONTACTADD ONCRMCONTACTUPDATE ONCRMCONTACTDELETE ONCRMCONTACTUSERFIELDADD ONCRMCONTACTUSERFIELDUPDATE
  ONCRMCONTACTUSERFIELDDELETE ONCRMCONTACTUSERFIELDSETENUMVALUES
  ONCRMQUOTEADD ONCRMQUOTEUPDATE ONCRMQUOTEDELETE ONCRMQUOTEUSERFIELDADD ONCRMQUOTEUSERFIELDUPDATE
  ONCRMQUOTEUSERFIELDDELETE ONCRMQUOTEUSERFIELDSETENUMVALUES
  ONCRMINVOICEUSERFIELDADD ONCRMINVOICEUSERFIELDUPDATE ONCRMINVOICEUSERFIELDDELETE
  ONCRMINVOICEUSERFIELDSETENUMVALUES ONCRMCURRENCYADD ONCRMCURRENCYUPDATE ONCRMCURRENCYDELETE
  ONCRMPRODUCTADD ONCRMPRODUCTUPDATE ONCRMPRODUCTDELETE ONCRMPRODUCTPROPERTYADD ONCRMPRODUCTPROPERTYUPDATE
  ONCRMPRODUCTPROPERTYDELETE ONCRMPRODUCTSECTIONADD ONCRMPRODUCTSECTIONUPDATE ONCRMPRODUCTSECTIONDELETE
  ONCRMACTIVITYADD ONCRMACTIVITYUPDATE ONCRMACTIVITYDELETE
  ONCRMREQUISITEADD ONCRMREQUISITEUPDATE ONCRMREQUISITEDELETE ONCRMREQUISITEUSERFIELDADD
  ONCRMREQUISITEUSERFIELDUPDATE ONCRMREQUISITEUSERFIELDDELETE ONCRMREQUISITEUSERFIELDSETENUMVALUES
  ONCRMBANKDETAILADD ONCRMBANKDETAILUPDATE ONCRMBANKDETAILDELETE ONCRMADDRESSREGISTER ONCRMADDRESSUNREGISTER
  ONCRMMEASUREADD ONCRMMEASUREUPDATE ONCRMMEASUREDELETE
  ONCRMDEALRECURRINGADD ONCRMDEALRECURRINGUPDATE ONCRMDEALRECURRINGDELETE ONCRMDEALRECURRINGEXPOSE
  ONCRMINVOICERECURRINGADD ONCRMINVOICERECURRINGUPDATE ONCRMINVOICERECURRINGDELETE ONCRMINVOICERECURRINGEXPOSE
  ONCRMTIMELINECOMMENTADD ONCRMTIMELINECOMMENTUPDATE ONCRMTIMELINECOMMENTDELETE
  ONCRMDYNAMICITEMADD ONCRMDYNAMICITEMUPDATE ONCRMDYNAMICITEMDELETE
  ONCRMDYNAMICITEMADD_147 ONCRMDYNAMICITEMUPDATE_147 ONCRMDYNAMICITEMDELETE_147
  ONCRMTYPEADD ONCRMTYPEUPDATE ONCRMTYPEDELETE
  ONCRMDOCUMENTGENERATORDOCUMENTADD ONCRMDOCUMENTGENERATORDOCUMENTUPDATE ONCRMDOCUMENTGENERATORDOCUMENTDELETE
  ONTASKADD ONTASKUPDATE ONTASKDELETE ONTASKCOMMENTADD ONTASKCOMMENTUPDATE ONTASKCOMMENTDELETE`
  .trim()
  .split(/\s+/);
/** api-reference/crm/universal/userfieldconfig/events/index.md */
const documentedSince = ['ADD', 'UPDATE', 'DELETE', 'SETENUMVALUES'].map(
  (change) => `ONCRMTYPEUSERFIELD${change}`,
);

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

  it('comes for add, update and delete, by a user, a webhook or the application itself', async () => {
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
    const keys = [...(form?.keys() ?? [])].filter((key) => key.startsWith('auth'));
    expect(keys).toEqual(proofKeys);
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

  it('to a closed port or a silent handler is counted by its error', async () => {
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
    expect(handler.maxInFlight).toBe(10);
  });
});

describe('event.bind', () => {
  it('rejects an unknown event, a missing handler and a duplicate', async () => {
    const { accessToken } = await b24.install();
    expect((await bind(accessToken, 'ONNONSENSE')).error).toEqual([400, 'ERROR_EVENT_NOT_FOUND']);
    expect((await bind(accessToken, 'ONCRMDYNAMICITEMADD_999')).error).toEqual([
      400,
      'ERROR_EVENT_NOT_FOUND',
    ]);
    expect((await bind(accessToken, 'ONCRMDEALADD', { handler: '' })).error).toEqual([400, 'ERROR_ARGUMENT']);
    const foo = await bind(accessToken, 'ONCRMDEALADD', { event_type: 'foo' });
    expect([...Object(foo.error), foo.at('error_description')]).toEqual([
      400,
      'ERROR_ARGUMENT',
      'Value must be one of {online|offline}',
    ]);
    expect((await bind(accessToken, 'ONCRMDEALADD')).at('result')).toBe(true);
    const again = await bind(accessToken, 'oncrmdealadd');
    expect(again.error).toEqual([400, 'ERROR_CORE']);
    expect(again.at('error_description')).toBe('Unable to set event handler: Handler already binded');
  });

  it.each([
    ['http://localhost:3000/b24/events', 'ERROR_WRONG_HANDLER_URL'],
    ['http://gateway/b24/events', 'ERROR_WRONG_HANDLER_URL'],
    ['http://[::1]:3000/b24/events', 'ERROR_WRONG_HANDLER_URL'],
    ['http://2130706433/', 'ERROR_WRONG_HANDLER_URL'],
    ['http://.test/', 'ERROR_WRONG_HANDLER_URL'],
    ['nonsense', 'ERROR_WRONG_HANDLER_URL'],
    ['/b24/events', 'ERROR_WRONG_HANDLER_URL'],
    ['ftp://relay.test/', 'ERROR_UNSUPPORTED_PROTOCOL'],
    ['https://relay.test/b24/events', undefined],
    ['http://127.0.0.1:3000/b24/events?a=http://x', undefined],
  ])('of a handler at %s is answered %s', async (url, code) => {
    const { accessToken } = await b24.install();
    const answer = await bind(accessToken, 'ONCRMDEALADD', { handler: url });
    expect([answer.status, answer.at('error')]).toEqual([code === undefined ? 200 : 400, code]);
  });

  it('that comes while another binds the same is rejected, with a text of its own', async () => {
    const { accessToken } = await b24.install();
    await b24.send('/_sim/portals/demo', { method: 'PATCH', body: '{"latencyMs": 200}' });
    const both = await Promise.all([bind(accessToken, 'ONCRMDEALADD'), bind(accessToken, 'ONCRMDEALADD')]);
    expect(new Set(both.map(({ status }) => status))).toEqual(new Set([200, 400]));
    const loser = both.find(({ status }) => status === 400);
    expect([loser?.at('error'), loser?.at('error_description')]).toEqual([
      'ERROR_CORE',
      'Unable to set event handler: Process of binding the handler has already started',
    ]);
    const other = [bind(accessToken, 'ONCRMLEADADD'), bind(accessToken, 'ONCRMDEALADD', { auth_type: 1 })];
    expect((await Promise.all(other)).map(({ status }) => status)).toEqual([200, 200]);
    const cmd = [1, 2].map(() => `event.bind?event=ONCRMQUOTEADD&handler=${handler.url}`);
    const batch = await b24.callAs(accessToken, 'batch', { cmd });
    expect(batch.at('result.result_error.1.error_description')).toMatch(/already binded$/);
  });

  it('binds what the application’s permissions give, and nothing else', async () => {
    const { accessToken } = await b24.install();
    expect((await bind(accessToken, 'ONUSERADD')).at('result')).toBe(true);
    expect((await bind(accessToken, 'ONTASKADD')).error).toEqual([400, 'ERROR_EVENT_NOT_FOUND']);
    await b24.send('/_sim/portals/demo', { method: 'PATCH', body: '{"scope": ["task"]}' });
    expect((await bind(accessToken, 'ONTASKADD')).at('result')).toBe(true);
    expect((await bind(accessToken, 'ONCRMDEALADD')).error).toEqual([400, 'ERROR_EVENT_NOT_FOUND']);
    expect((await bind(accessToken, 'ONAPPTEST')).at('result')).toBe(true);
    expect((await b24.callAs(accessToken, 'scope')).at('result')).toEqual(['task']);
    const rejected = await b24.callAs(accessToken, 'crm.item.list', { entityTypeId: 3 });
    expect(rejected.error).toEqual([401, 'insufficient_scope']);
    expect((await b24.call('crm.item.list', { entityTypeId: 3 })).status).toBe(200);
  });

  it('by a user who is no administrator is bound, seen and unbound as that user’s own', async () => {
    const { accessToken } = await b24.install();
    await b24.control('open', { url: handler.url, userId: 7 });
    const hers = handler.forms[0]?.get('AUTH_ID') ?? '';
    await bind(accessToken, 'ONCRMDEALADD');
    for (const authType of [1, 8]) {
      const rejected = await bind(hers, 'ONCRMDEALADD', { auth_type: authType });
      expect([...Object(rejected.error), rejected.at('error_description')]).toEqual([
        403,
        'ACCESS_DENIED',
        'Access denied! Event binding with AUTH_TYPE requires administrator access rights',
      ]);
    }
    const offline = await bind(hers, 'ONCRMDEALADD', { event_type: 'offline' });
    expect(offline.error).toEqual([403, 'ACCESS_DENIED']);
    expect((await bind(hers, 'ONCRMDEALADD')).at('result')).toBe(true);
    expect((await bind(hers, 'ONCRMLEADADD', { auth_type: 7 })).at('result')).toBe(true);
    expect((await bind(accessToken, 'ONCRMLEADADD', { auth_type: 8 })).at('result')).toBe(true);
    const seen = async (token: string) => (await b24.callAs(token, 'event.get')).at('result');
    expect(await seen(hers)).toMatchObject([
      { event: 'ONCRMDEALADD', auth_type: '7' },
      { event: 'ONCRMLEADADD', auth_type: '7' },
    ]);
    expect(await seen(accessToken)).toHaveLength(4);
    const unbind = (more: object) =>
      b24.callAs(hers, 'event.unbind', { event: 'ONCRMDEALADD', handler: handler.url, ...more });
    expect((await unbind({ auth_type: 0 })).error).toEqual([403, 'ACCESS_DENIED']);
    expect((await unbind({})).at('result')).toEqual({ count: 1 });
    expect(await seen(accessToken)).toHaveLength(3);
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
    const rejected = async (params: object) => {
      const { error, body } = await b24.callAs(accessToken, 'event.unbind', params);
      expect(error).toEqual([400, 'ERROR_ARGUMENT']);
      return body;
    };
    expect(await rejected({ handler: handler.url })).toMatchObject({
      error_description: "Argument 'EVENT' is null or empty",
    });
    expect(await rejected({ event: 'ONCRMDEALADD' })).toMatchObject({
      error_description: "Argument 'HANDLER' is null or empty",
    });
    await rejected({ event: 'ONCRMDEALADD', handler: handler.url, event_type: 'foo' });
    expect(await unbind({ event: 'ONCRMDEALADD', handler: handler.url })).toEqual({ count: 1 });
  });
});

const listed = async (params: object) => {
  const { accessToken } = await b24.install();
  return z.array(z.string()).parse((await b24.callAs(accessToken, 'events', params)).at('result'));
};

describe('events', () => {
  const common = documented.filter((name) => name.startsWith('ONAPP') || name === 'ONOFFLINEEVENT');

  it('lists everything that is documented, if all of it is wanted', async () => {
    expect(documented).toHaveLength(111);
    expect((await listed({ FULL: true })).toSorted()).toEqual([...documented, ...documentedSince].toSorted());
  });

  it('lists by itself what the application’s permissions give, and what every application gets', async () => {
    const own = documented.filter((name) => !name.startsWith('ONTASK'));
    expect((await listed({})).toSorted()).toEqual([...own, ...documentedSince].toSorted());
    expect((await listed({ FULL: '0' })).toSorted()).toEqual([...own, ...documentedSince].toSorted());
  });

  it('lists those of one permission, whether the application has it or not', async () => {
    expect(await listed({ SCOPE: 'user' })).toEqual(['ONUSERADD']);
    expect(await listed({ SCOPE: 'task' })).toEqual(documented.filter((name) => name.startsWith('ONTASK')));
    expect(await listed({ scope: 'nonsense' })).toEqual([]);
    expect((await listed({ SCOPE: '', FULL: true })).toSorted()).toEqual(common.toSorted());
  });
});

it('any event can be sent to who bound it', async () => {
  await b24.send('/_sim/portals/demo', { method: 'PATCH', body: '{"scope": ["task"]}' });
  const { accessToken } = await b24.install();
  await bind(accessToken, 'ONTASKADD');
  const data = { FIELDS_BEFORE: 'undefined', FIELDS_AFTER: { ID: 5 } };
  expect((await b24.control('events', { event: 'onTaskAdd', data })).at('queued')).toBe(1);
  expect((await b24.control('events', { event: 'ONTASKDELETE', data, by: 'robot' })).at('queued')).toBe(0);
  const [form] = await received(1);
  expect([form?.get('event'), form?.get('data[FIELDS_AFTER][ID]'), form?.get('data[FIELDS_BEFORE]')]).toEqual(
    ['ONTASKADD', '5', 'undefined'],
  );
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
  expect(form?.get('data[LANGUAGE_ID]')).toBe('en');
  expect((await b24.refresh(form?.get('auth[refresh_token]') ?? '')).status).toBe(200);
});

it('an outgoing webhook has an application token of its own and gets no tokens', async () => {
  const { applicationToken } = await b24.install();
  const webhook = await b24.control('outgoing-webhooks', { event: 'onCrmContactUpdate', url: handler.url });
  await b24.control('items/3', { id: 1, fields: {} });
  const [form] = await received(1);
  expect([...(form?.keys() ?? [])].filter((key) => key.startsWith('auth'))).toEqual(proofKeys);
  expect(form?.get('auth[application_token]')).toBe(webhook.at('application_token'));
  expect(webhook.at('application_token')).not.toBe(applicationToken);
});
