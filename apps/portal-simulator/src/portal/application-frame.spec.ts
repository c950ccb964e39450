import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../../../../test/support/eventually.js';
import { TestHandler, TestSimulator, type Answer } from '../../test/support.js';

const ADMINISTRATOR = 1;
const PLAIN_USER = 2;
const PAGES = { url: 'https://app.example/b24/install', appUrl: 'https://app.example/b24/main?v=1' };

let b24: TestSimulator;

beforeEach(async () => {
  b24 = await TestSimulator.start();
});
afterEach(() => b24.close());

/** Installs the application with a page that only a frame opens. */
async function install(): Promise<void> {
  const answer = await b24.control('install', { kind: 'page', open: false, ...PAGES });
  expect([answer.status, answer.at('status')]).toEqual([200, null]);
}

function command(name: string, userId: number, more: object = {}): Promise<Answer> {
  return b24.control('frame-command', { command: name, userId, ...more });
}

describe('an application frame', () => {
  it('opens the installation wizard until it is finished, then the application', async () => {
    await install();
    const wizard = await b24.control('frame');
    expect(new URL(wizard.text('url')).pathname).toBe('/b24/install');
    expect(wizard.at('initData')).toMatchObject({ INSTALL: true, IS_ADMIN: true, FIRST_RUN: true });
    const token = wizard.text('form.AUTH_ID');
    expect((await b24.callAs(token, 'app.info')).at('result.INSTALLED')).toBe(false);
    expect((await command('setInstallFinish', ADMINISTRATOR)).body).toEqual({ result: true });
    expect((await b24.callAs(token, 'app.info')).at('result.INSTALLED')).toBe(true);
    const opened = await b24.control('frame');
    const url = new URL(opened.text('url'));
    expect([url.pathname, url.searchParams.get('v')]).toEqual(['/b24/main', '1']);
    expect(opened.at('initData.INSTALL')).toBe(false);
  });

  it('gets the session in the query and tokens of its user in the body, from the host where the user is', async () => {
    await install();
    await command('setInstallFinish', ADMINISTRATOR);
    const opened = await b24.control('frame', { userId: PLAIN_USER, language: 'de' });
    const { searchParams } = new URL(opened.text('url'));
    const { host } = new URL(b24.simulator.url);
    const appSid = opened.text('appSid');
    expect(Object.fromEntries(searchParams)).toMatchObject({
      DOMAIN: host,
      PROTOCOL: '0',
      LANG: 'de',
      APP_SID: appSid,
    });
    expect(opened.at('frameName')).toBe(`${host}|0|${appSid}`);
    const portal = await b24.send('/_sim/portals/demo');
    expect(opened.at('form')).toMatchObject({ member_id: portal.at('member_id'), PLACEMENT: 'DEFAULT' });
    expect(opened.at('initData')).toMatchObject({
      DOMAIN: host,
      PROTOCOL: '0',
      LANG: 'de',
      AUTH_ID: opened.text('form.AUTH_ID'),
      MEMBER_ID: portal.at('member_id'),
      IS_ADMIN: false,
      APP_OPTIONS: [],
    });
    const { body } = await b24.callAs(opened.text('form.AUTH_ID'), 'user.current');
    expect(body).toMatchObject({ result: { ID: '2', NAME: 'John' } });
  });

  it('has REST under the host alone, for pages of any origin', async () => {
    await install();
    const opened = await b24.control('frame', {});
    const auth = opened.text('form.AUTH_ID');
    const answer = await b24.post('/rest/profile', { auth });
    expect(answer.at('result.ID')).toBe('1');
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
    const preflight = await b24.send('/rest/profile', { method: 'OPTIONS' });
    expect(preflight.headers.get('access-control-allow-headers')).toContain('content-type');
    expect((await b24.post('/rest/profile', {})).error).toEqual([401, 'NO_AUTH_FOUND']);
    expect((await b24.post('/rest/profile', { auth: 'nobody' })).error).toEqual([401, 'invalid_token']);
  });

  it('renews the tokens of its user', async () => {
    await install();
    const refreshed = await command('refreshAuth', PLAIN_USER);
    expect(refreshed.at('AUTH_EXPIRES')).toBe(3600);
    expect((await b24.callAs(refreshed.text('AUTH_ID'), 'profile')).at('result.ID')).toBe('2');
    expect((await b24.refresh(refreshed.text('REFRESH_ID'))).at('user_id')).toBe(2);
  });

  it('keeps options: of a user for the user, of the application for all and by administrators alone', async () => {
    await install();
    await command('setInstallFinish', ADMINISTRATOR);
    await command('setUserOption', PLAIN_USER, { name: 'theme', value: 'dark' });
    expect((await command('setAppOption', PLAIN_USER, { name: 'a', value: 1 })).status).toBe(403);
    expect((await command('setAppOption', ADMINISTRATOR, { name: 'a', value: 1 })).body).toEqual({ a: 1 });
    await command('setInstall', PLAIN_USER, { install: true });
    expect((await b24.control('frame', { userId: PLAIN_USER })).at('initData')).toMatchObject({
      USER_OPTIONS: { theme: 'dark' },
      APP_OPTIONS: { a: 1 },
      FIRST_RUN: false,
    });
    expect((await b24.control('frame')).at('initData')).toMatchObject({
      USER_OPTIONS: [],
      FIRST_RUN: true,
    });
  });

  it('is closed to users who are no administrators until the installation is finished', async () => {
    await install();
    const rejected = await b24.control('frame', { userId: PLAIN_USER });
    expect([rejected.status, rejected.at('error')]).toEqual([
      403,
      expect.stringContaining('not fully installed yet'),
    ]);
    await b24.control('rights', { userId: PLAIN_USER, administrator: true });
    expect((await b24.control('frame', { userId: PLAIN_USER })).status).toBe(200);
    await b24.control('rights', { userId: PLAIN_USER, administrator: false });
    expect((await command('setInstallFinish', PLAIN_USER)).body).toEqual({ result: false });
  });

  it('shows a gateway at the address that a browser reaches, and other hosts at theirs', async () => {
    const gateway = await TestHandler.start();
    const installDemoAt = new URL('/b24/install', gateway.url).href;
    const gatewayInBrowser = 'http://localhost:3001';
    const other = await TestSimulator.start({ installDemoAt, gatewayInBrowser });
    try {
      await eventually(async () => expect((await other.send('/health/ready')).status).toBe(200));
      const framed = async (): Promise<string> => {
        const { origin, pathname } = new URL((await other.control('frame')).text('url'));
        return origin + pathname;
      };
      expect(await framed()).toBe('http://localhost:3001/b24/app');
      expect((await other.send('/_sim')).body).toContain(`'{"url": "${installDemoAt}"}'`);
      await other.control('install', { kind: 'page', open: false, url: installDemoAt });
      expect(await framed()).toBe('http://localhost:3001/b24/install');
      await other.control('install', { kind: 'page', open: false, ...PAGES });
      expect(await framed()).toBe('https://app.example/b24/install');
    } finally {
      await other.close();
      await gateway.close();
    }
  });

  it('of an application without a page of its own shows what is beside its install address', async () => {
    const handler = await TestHandler.start();
    await b24.control('install', { url: new URL('/b24/install', handler.url).href });
    await handler.close();
    expect(new URL((await b24.control('frame')).text('url')).pathname).toBe('/b24/app');
    await b24.install();
    expect((await b24.control('frame')).status).toBe(409);
  });
});
