import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Browser, Frame, Page } from 'playwright-core';
import { z } from 'zod';
import { freePort } from '../support/free-port.mjs';
import { eventually } from '../support/eventually.js';
import { AppProcess } from '../support/processes.js';
import { control } from '../support/simulator-control.js';
import { startChromium } from './chromium.mjs';
import { problemsOfClosed, watchPage } from './watched-page.js';

const administrator = 1;
const plainUser = 2;

const sdkFolder = join(createRequire(import.meta.url).resolve('@bitrix24/b24jssdk'), '../../..');
const sdk = readFileSync(join(sdkFolder, 'dist/umd/index.min.js'));
const pageOfApplication = `<!doctype html>
  <html lang="en"><head><meta charset="utf-8"><title>An application</title><link rel="icon" href="data:,"></head>
  <body><p>An application</p><script src="/sdk.js"></script>
  <script>window.started = B24Js.initializeB24Frame().then((b24) => { window.b24 = b24; });</script></body></html>`;

interface Posted {
  path: string;
  origin: string | undefined;
  query: URLSearchParams;
  form: URLSearchParams;
}

/** An application that is nothing but a page with the official SDK. */
class SdkApplication {
  readonly posted: Posted[] = [];
  private readonly server: Server = createServer((request, response) => {
    void (async () => {
      if (request.method === 'POST') this.posted.push(await read(request));
      const isScript = request.url === '/sdk.js';
      response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
      response.end(isScript ? sdk : pageOfApplication);
    })();
  });

  async start(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    const { port } = z.object({ port: z.number() }).parse(this.server.address());
    return `http://127.0.0.1:${port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

async function read(request: IncomingMessage): Promise<Posted> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://application');
  const form = new URLSearchParams(await text(request));
  return { path: pathname, origin: request.headers.origin, query: searchParams, form };
}

/** Real: Chromium, the official SDK, the simulator as built, which is what is tested. */
describe('an application with the official SDK in a frame of the simulator', () => {
  const application = new SdkApplication();
  let simulator: AppProcess;
  let simulatorUrl: string;
  let applicationUrl: string;
  let browser: Browser;
  let page: Page;
  let problems: string[];
  let portal: string;
  let made = 0;

  beforeAll(async () => {
    const port = await freePort();
    simulatorUrl = `http://127.0.0.1:${port}`;
    simulator = AppProcess.start('portal-simulator', 'apps/portal-simulator/src/main.js', {
      SIMULATOR_PORT: String(port),
    });
    [browser, applicationUrl] = await Promise.all([startChromium(), application.start()]);
    await simulator.ready(`${simulatorUrl}/health/ready`);
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await Promise.all([simulator?.stop(), application.stop()]);
  }, 30_000);

  beforeEach(async () => {
    made += 1;
    portal = `portal-${made}`;
    application.posted.length = 0;
    await control('POST', `${simulatorUrl}/_sim/portals`, { name: portal });
    await ask('install', {
      kind: 'page',
      open: false,
      url: `${applicationUrl}/install`,
      appUrl: `${applicationUrl}/app`,
    });
    ({ page, problems } = await watchPage(browser, simulatorUrl, {}, [applicationUrl]));
  });
  afterEach(async () => {
    await page.close();
    expect(problems).toEqual([]);
  });

  function ask(action: string, body: object = {}): Promise<unknown> {
    return control('POST', `${simulatorUrl}/_sim/portals/${portal}/${action}`, body);
  }

  /** The frame of the application, its SDK initialized. */
  async function frameAt(path: string): Promise<Frame> {
    return eventually(async () => {
      const frame = page.frames().find((one) => one.url().startsWith(`${applicationUrl}${path}`));
      if (!frame) throw new Error(`no frame shows ${path}`);
      await frame.evaluate('window.started.then(() => true)');
      return frame;
    });
  }

  async function open(userId = administrator, language = 'en'): Promise<void> {
    await page.goto(`${simulatorUrl}/portals/${portal}/app/?user=${userId}&language=${language}`);
  }

  async function openApplication(userId = administrator, language = 'en'): Promise<Frame> {
    await ask('install-finish');
    await open(userId, language);
    return frameAt('/app');
  }

  const callCurrentUser = `b24.actions.v2.call.make({ method: 'user.current' }).then((answer) => answer.getData().result)`;

  it('knows its portal, its user and the language, by what is posted and by what the portal answers', async () => {
    const frame = await openApplication(plainUser, 'de');
    const [posted] = application.posted;
    expect(posted?.origin).toBe(simulatorUrl);
    const { host } = new URL(simulatorUrl);
    expect(Object.fromEntries(posted?.query ?? [])).toMatchObject({
      DOMAIN: host,
      PROTOCOL: '0',
      LANG: 'de',
    });
    expect(posted?.form.get('PLACEMENT')).toBe('DEFAULT');
    expect(await frame.evaluate('window.name')).toBe(`${host}|0|${posted?.query.get('APP_SID')}`);
    expect(
      await frame.evaluate(`({ lang: b24.getLang(), sid: b24.getAppSid(), isAdmin: b24.auth.isAdmin,
        placement: b24.placement.title, isInstallMode: b24.isInstallMode })`),
    ).toEqual({
      lang: 'de',
      sid: posted?.query.get('APP_SID'),
      isAdmin: false,
      placement: 'DEFAULT',
      isInstallMode: false,
    });
    expect(await frame.evaluate('b24.auth.getAuthData()')).toMatchObject({
      access_token: posted?.form.get('AUTH_ID'),
      refresh_token: posted?.form.get('REFRESH_ID'),
      member_id: posted?.form.get('member_id'),
      domain: simulatorUrl,
    });
  });

  it('calls REST from the browser with the token of its user', async () => {
    const frame = await openApplication(plainUser);
    expect(await frame.evaluate(callCurrentUser)).toMatchObject({ ID: '2', NAME: 'John' });
    const batch = `b24.actions.v2.batch.make({ calls: { who: { method: 'profile' }, admin: { method: 'user.admin' } } })
      .then((answer) => { const data = answer.getData(); return [data.who.ID, data.admin]; })`;
    expect(await frame.evaluate(batch)).toEqual(['2', false]);
  });

  it('gets new tokens of the portal when it asks, and when the old one has expired', async () => {
    const frame = await openApplication(plainUser);
    const first = await frame.evaluate('b24.auth.getAuthData().access_token');
    await ask('expire-tokens');
    expect(await frame.evaluate(callCurrentUser)).toMatchObject({ ID: '2' });
    const second = await frame.evaluate('b24.auth.getAuthData().access_token');
    expect(second).not.toBe(first);
    const third = await frame.evaluate('b24.auth.refreshAuth().then(({ access_token }) => access_token)');
    expect(third).toMatch(/^[\da-f]{32}$/);
    expect(third).not.toBe(second);
    // The browser says of itself that one call was rejected.
    expect(await problemsOfClosed({ page, problems })).toEqual([expect.stringContaining('401')]);
  });

  it('ends its installation, after which the portal opens its page', async () => {
    await open();
    const wizard = await frameAt('/install');
    expect(await wizard.evaluate('b24.isInstallMode')).toBe(true);
    const isInstalled = `b24.actions.v2.call.make({ method: 'app.info' }).then((answer) => answer.getData().result.INSTALLED)`;
    expect(await wizard.evaluate(isInstalled)).toBe(false);
    await wizard.evaluate('void b24.installFinish()');
    const frame = await frameAt('/app');
    expect(await frame.evaluate('b24.isInstallMode')).toBe(false);
    expect(await frame.evaluate(isInstalled)).toBe(true);
    expect(page.url()).toContain('install_finished=Y');
    expect(application.posted.map(({ path }) => path)).toEqual(['/install', '/app']);
  });

  it('is kept from users until its installation is finished', async () => {
    await open(plainUser);
    await page.getByRole('alert').getByText('The application is not fully installed yet').waitFor();
    expect(application.posted).toEqual([]);
    // The browser says of itself that it was rejected.
    expect(await problemsOfClosed({ page, problems })).toEqual([expect.stringContaining('403')]);
  });

  it('sizes its frame, sets the title, and keeps options', async () => {
    const frame = await openApplication();
    await frame.evaluate(`b24.parent.setTitle('Names: <b>put right</b>')`);
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('Names: <b>put right</b>');
    await frame.evaluate('b24.parent.resizeWindow(500, 321)');
    expect(await frame.evaluate('[innerWidth, innerHeight]')).toEqual([498, 319]);
    await frame.evaluate('document.body.style.height = "900px"');
    await frame.evaluate('b24.parent.fitWindow()');
    expect(await frame.evaluate('innerHeight >= 900')).toBe(true);
    await frame.evaluate(`b24.options.appSet('colour', 'green')`);
    await page.reload();
    const again = await frameAt('/app');
    expect(await again.evaluate(`b24.options.appGet('colour')`)).toBe('green');
  });

  it('gets no answer for another session, and none to what a portal does not know', async () => {
    const frame = await openApplication();
    const before = await page.locator('details.heard').innerText();
    // What is known is answered after them, so their answers would have come before.
    const answers = await frame.evaluate(`new Promise((resolve) => {
      const got = [];
      addEventListener('message', ({ data }) => {
        got.push(String(data).split(':')[0]);
        if (got.includes('last')) resolve(got);
      });
      const origin = b24.getTargetOrigin();
      parent.postMessage('getInitData::other:' + 'f'.repeat(32), origin);
      parent.postMessage({ method: 'refreshAuth', callback: 'foreign', appSid: 'x' }, origin);
      parent.postMessage('constructor:{"result":1}:proto:' + b24.getAppSid(), origin);
      parent.postMessage('makeCoffee:{}:coffee:' + b24.getAppSid(), origin);
      parent.postMessage('setTitle:{broken:broken:' + b24.getAppSid(), origin);
      parent.postMessage('getInterface::last:' + b24.getAppSid(), origin);
    })`);
    expect(answers).toEqual(['last']);
    expect(before).toContain('Messages of the frame');
    await page.locator('details.heard summary').click();
    await page.getByText('makeCoffee (not answered)').waitFor();
  });
});
