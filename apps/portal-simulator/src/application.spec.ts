import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestHandler, TestSimulator } from '../test/support.js';

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
  it('is told by ONAPPINSTALL, without a handler id, with tokens that work', async () => {
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
    expect(form?.has('event_handler_id')).toBe(false);
    expect((await b24.callAs(form?.get('auth[access_token]') ?? '', 'profile')).status).toBe(200);
    expect((await b24.refresh(form?.get('auth[refresh_token]') ?? '')).status).toBe(200);
  });

  it('of a local application without a page is told by a callback with auth alone', async () => {
    await b24.control('install', { url: handler.url, kind: 'callback' });
    expect([...(handler.forms[0]?.keys() ?? [])]).toEqual(authKeys);
  });

  it('answers with the status, or with what came instead of one', async () => {
    handler.status = 401;
    expect((await b24.control('install', { url: handler.url })).at('status')).toBe(401);
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

it('an update of the application brings another application token by ONAPPUPDATE and takes the handlers', async () => {
  const { accessToken, applicationToken } = await b24.install();
  await b24.callAs(accessToken, 'event.bind', { event: 'ONAPPUPDATE', handler: handler.url });
  const answer = await b24.control('app-update');
  expect(answer.at('statuses')).toEqual([200]);
  expect(answer.at('application_token')).not.toBe(applicationToken);
  expect(Object.fromEntries(handler.forms[0] ?? [])).toMatchObject({
    event: 'ONAPPUPDATE',
    'data[VERSION]': '2',
    'data[PREVIOUS_VERSION]': '1',
    'auth[application_token]': answer.at('application_token'),
    'auth[refresh_token]': expect.any(String),
  });
  expect((await b24.callAs(accessToken, 'event.get')).at('result')).toEqual([]);
});

it('an uninstall is told with the application token as its only proof, and takes the handlers', async () => {
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
