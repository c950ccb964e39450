import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
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

const authKeys = (
  'domain server_endpoint client_endpoint member_id scope access_token refresh_token expires_in status ' +
  'application_token'
)
  .split(' ')
  .map((key) => `auth[${key}]`);

describe('an installation', () => {
  it('sends ONAPPINSTALL to the handler that the portal bound itself, with tokens that work', async () => {
    const answer = await b24.control('install', { url: handler.url });
    expect(answer.at('status')).toBe(200);
    const [form] = handler.forms;
    expect(Object.fromEntries(form ?? [])).toMatchObject({
      event: 'ONAPPINSTALL',
      'data[VERSION]': '1',
      'data[ACTIVE]': 'Y',
      'data[INSTALLED]': 'Y',
      'data[LANGUAGE_ID]': 'en',
      ts: expect.stringMatching(/^\d{10}$/),
      'auth[member_id]': answer.at('member_id'),
      'auth[domain]': 'demo.bitrix24.test',
      'auth[expires_in]': '3600',
      'auth[application_token]': answer.at('application_token'),
    });
    expect([...(form?.keys() ?? [])].filter((key) => key.startsWith('auth'))).toEqual(authKeys);
    expect(form?.get('event_handler_id')).toBe('1');
    expect((await b24.callAs(form?.get('auth[access_token]') ?? '', 'profile')).status).toBe(200);
    expect((await b24.refresh(form?.get('auth[refresh_token]') ?? '')).status).toBe(200);
  });

  it('of a local application without a page sends a callback with auth alone', async () => {
    await b24.control('install', { url: handler.url, kind: 'callback' });
    expect([...(handler.forms[0]?.keys() ?? [])]).toEqual(authKeys);
    const portal = await b24.send('/_sim/portals/demo');
    expect(portal.at('handlers')).toEqual([
      { id: 1, event: 'ONAPPINSTALL', url: handler.url, kind: 'application' },
    ]);
  });

  it('by another user brings tokens of that user, who is no administrator', async () => {
    await b24.control('install', { url: handler.url, userId: 7 });
    const token = handler.forms[0]?.get('auth[access_token]') ?? '';
    expect((await b24.callAs(token, 'user.admin')).at('result')).toBe(false);
    expect((await b24.callAs(token, 'profile')).at('result')).toMatchObject({
      ID: '7',
      NAME: 'Max',
      ADMIN: false,
    });
  });

  it('by an administrator gives tokens whose right ends when it is taken away', async () => {
    const { accessToken } = await b24.install();
    const bindOffline = () =>
      b24.callAs(accessToken, 'event.bind', { event: 'ONCRMDEALADD', event_type: 'offline' });
    expect((await b24.callAs(accessToken, 'user.admin')).at('result')).toBe(true);
    expect((await bindOffline()).status).toBe(200);
    await b24.control('rights', { administrator: false });
    expect((await b24.callAs(accessToken, 'user.admin')).at('result')).toBe(false);
    expect((await b24.callAs(accessToken, 'profile')).at('result.ADMIN')).toBe(false);
    expect((await bindOffline()).error).toEqual([403, 'ACCESS_DENIED']);
  });

  it('answers with the status and the body, or with what came instead of one', async () => {
    handler.status = 401;
    handler.answer = '<p>not confirmed</p>';
    expect((await b24.control('install', { url: handler.url })).body).toMatchObject({
      status: 401,
      body: '<p>not confirmed</p>',
    });
    expect((await b24.control('install', { url: 'http://127.0.0.1:1/' })).at('status')).toBe('ECONNREFUSED');
  });

  it('replaces the one before: other tokens, no handlers', async () => {
    const first = await b24.install();
    await b24.callAs(first.accessToken, 'event.bind', { event: 'ONCRMDEALADD', handler: handler.url });
    const second = await b24.install();
    expect(second.applicationToken).not.toBe(first.applicationToken);
    expect((await b24.callAs(first.accessToken, 'profile')).error).toEqual([401, 'invalid_token']);
    expect((await b24.callAs(second.accessToken, 'event.get')).at('result')).toEqual([]);
  });
});

const wizard = (more: object = {}) =>
  b24.control('install', { url: `${handler.url}?own=1`, kind: 'page', ...more });

describe('an installation wizard', () => {
  it('is opened as a page is, with tokens that work', async () => {
    handler.answer = '<h1>Welcome</h1>';
    const answer = await wizard();
    expect(answer.body).toMatchObject({ status: 200, body: '<h1>Welcome</h1>' });
    const [request] = handler.requests;
    expect(Object.fromEntries(request?.query ?? [])).toEqual({
      own: '1',
      DOMAIN: 'demo.bitrix24.test',
      PROTOCOL: '0',
      LANG: 'en',
      APP_SID: expect.stringMatching(/^[\da-f]{32}$/),
    });
    expect(Object.fromEntries(request?.form ?? [])).toEqual({
      AUTH_ID: answer.at('access_token'),
      AUTH_EXPIRES: '3600',
      REFRESH_ID: answer.at('refresh_token'),
      SERVER_ENDPOINT: `${b24.simulator.url}/rest/`,
      APPLICATION_TOKEN: answer.at('application_token'),
      APPLICATION_SCOPE: 'crm,user_brief,imopenlines',
      member_id: answer.at('member_id'),
      status: 'L',
      PLACEMENT: 'DEFAULT',
    });
    expect((await b24.callAs(answer.text('access_token'), 'app.info')).at('result.INSTALLED')).toBe(true);
    expect((await b24.refresh(answer.text('refresh_token'))).status).toBe(200);
  });

  it('that has not finished gets no events, though they are bound; once it has, ONAPPINSTALL and the rest', async () => {
    const token = (await wizard({ finish: false })).text('access_token');
    for (const event of ['ONAPPINSTALL', 'ONCRMCONTACTADD']) {
      await b24.callAs(token, 'event.bind', { event, handler: handler.url });
    }
    expect((await b24.callAs(token, 'app.info')).at('result.INSTALLED')).toBe(false);
    await b24.control('items/3', { fields: { name: 'unheard' } });
    await eventually(async () => expect(await b24.stats()).toMatchObject({ events: { pending: 0 } }));
    expect(handler.requests).toHaveLength(1);
    expect((await b24.control('install-finish')).at('statuses')).toEqual([200]);
    expect((await b24.callAs(token, 'app.info')).at('result.INSTALLED')).toBe(true);
    await b24.control('items/3', { fields: { name: 'heard' } });
    await eventually(() => expect(handler.requests).toHaveLength(3));
    expect(handler.forms.map((form) => form.get('event'))).toEqual([null, 'ONAPPINSTALL', 'ONCRMCONTACTADD']);
    expect((await b24.control('install-finish')).at('statuses')).toEqual([]);
  });

  it('that was answered with an error is not finished', async () => {
    handler.status = 503;
    const token = (await wizard()).text('access_token');
    expect((await b24.callAs(token, 'app.info')).at('result.INSTALLED')).toBe(false);
  });
});

describe('the application opened by a user', () => {
  it('gets tokens of that user and answers with its page', async () => {
    await b24.install();
    handler.answer = 'all is well';
    expect((await b24.control('open', { url: handler.url, userId: 7 })).body).toEqual({
      status: 200,
      body: 'all is well',
    });
    const token = handler.forms[0]?.get('AUTH_ID') ?? '';
    expect((await b24.callAs(token, 'profile')).at('result')).toMatchObject({
      ID: '7',
      NAME: 'Max',
      ADMIN: false,
    });
  });

  it('in a placement gets what that is about', async () => {
    await b24.install();
    const placement = { placement: 'CRM_CONTACT_DETAIL_TAB', options: { ID: 3 } };
    await b24.control('open', { url: handler.url, ...placement });
    expect(handler.forms[0]?.get('PLACEMENT')).toBe('CRM_CONTACT_DETAIL_TAB');
    expect(handler.forms[0]?.get('PLACEMENT_OPTIONS')).toBe('{"ID":3}');
  });

  it('must be installed', async () => {
    expect((await b24.control('open', { url: handler.url })).status).toBe(409);
  });
});

const events = () => handler.forms.map((form) => form.get('event'));

describe('an update of the application', () => {
  it('of one with a page is sent to the handlers of ONAPPUPDATE only', async () => {
    const token = (await wizard()).text('access_token');
    await b24.callAs(token, 'event.bind', { event: 'ONAPPINSTALL', handler: handler.url });
    await b24.callAs(token, 'event.bind', { event: 'ONAPPUPDATE', handler: handler.url });
    expect((await b24.control('app-update')).at('statuses')).toEqual([200]);
    expect(events()).toEqual([null, 'ONAPPUPDATE']);
  });

  it('of one without a page is sent to its install address, too, as ONAPPINSTALL', async () => {
    const { body } = await b24.control('install', { url: handler.url });
    const answer = await b24.control('app-update');
    expect(answer.at('statuses')).toEqual([200]);
    expect(events()).toEqual(['ONAPPINSTALL', 'ONAPPINSTALL']);
    expect(Object.fromEntries(handler.forms[1] ?? [])).toMatchObject({
      event_handler_id: '1',
      'data[VERSION]': '2',
      'auth[application_token]': answer.at('application_token'),
    });
    expect(body).not.toMatchObject({ application_token: answer.at('application_token') });
    expect((await b24.refresh(handler.forms[1]?.get('auth[refresh_token]') ?? '')).status).toBe(200);
  });
});

it('an update of the application brings another application token by ONAPPUPDATE and leaves the handlers', async () => {
  const { accessToken, applicationToken } = await b24.install();
  await b24.callAs(accessToken, 'event.bind', { event: 'ONAPPUPDATE', handler: handler.url });
  const answer = await b24.control('app-update');
  expect(answer.at('statuses')).toEqual([200]);
  expect(answer.at('application_token')).not.toBe(applicationToken);
  expect(Object.fromEntries(handler.forms[0] ?? [])).toMatchObject({
    event: 'ONAPPUPDATE',
    event_handler_id: '1',
    'data[VERSION]': '2',
    'data[PREVIOUS_VERSION]': '1',
    'auth[application_token]': answer.at('application_token'),
    'auth[refresh_token]': expect.any(String),
  });
  expect((await b24.callAs(accessToken, 'event.get')).at('result.0.event')).toBe('ONAPPUPDATE');
});

it('ONAPPUSERREADY brings the tokens of the application’s own user to the install address, and of who installed it', async () => {
  const installed = await b24.control('install', { url: handler.url });
  expect((await b24.control('user-ready', { url: handler.url })).at('status')).toBe(200);
  const form = handler.forms[1];
  const { host } = new URL(b24.simulator.url);
  expect(Object.fromEntries(form ?? [])).toEqual({
    event: 'ONAPPUSERREADY',
    event_handler_id: '2',
    ts: expect.stringMatching(/^\d{10}$/),
    ...user('data', '512'),
    'data[client_id]': 'demo.app',
    'data[LANGUAGE_ID]': 'en',
    ...user('auth', '1'),
    'auth[application_token]': installed.at('application_token'),
  });
  const token = form?.get('data[access_token]') ?? '';
  expect((await b24.callAs(token, 'user.admin')).at('result')).toBe(false);
  expect((await b24.refresh(form?.get('data[refresh_token]') ?? '')).at('user_id')).toBe(512);

  function user(under: string, id: string) {
    const said = {
      access_token: expect.any(String),
      refresh_token: expect.any(String),
      expires_in: '3600',
      scope: 'crm,user_brief,imopenlines',
      domain: host,
      server_endpoint: `http://${host}/rest/`,
      client_endpoint: `http://${host}/portals/demo/rest/`,
      member_id: installed.at('member_id'),
      user_id: id,
      status: 'L',
    };
    return Object.fromEntries(Object.entries(said).map(([key, value]) => [`${under}[${key}]`, value]));
  }
});

it('an uninstall is sent with the application token as its only proof, and removes the handlers', async () => {
  const { accessToken, applicationToken } = await b24.install();
  await b24.callAs(accessToken, 'event.bind', { event: 'ONAPPUNINSTALL', handler: handler.url });
  expect((await b24.control('uninstall')).at('statuses')).toEqual([200]);
  const [form] = handler.forms;
  expect(Object.fromEntries(form ?? [])).toMatchObject({
    event: 'ONAPPUNINSTALL',
    'data[LANGUAGE_ID]': 'en',
    'data[CLEAN]': '1',
    'auth[application_token]': applicationToken,
  });
  expect(form?.has('auth[access_token]')).toBe(false);
  expect((await b24.send('/_sim/portals/demo')).body).toMatchObject({ installed: false, handlers: [] });
  expect((await b24.control('uninstall')).status).toBe(409);
});

it('an uninstall says whether the data stays', async () => {
  await b24.install();
  await b24.control('uninstall', { url: handler.url, clean: 0 });
  expect(handler.forms[0]?.get('data[CLEAN]')).toBe('0');
});
