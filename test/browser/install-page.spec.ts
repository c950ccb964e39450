import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { Browser, Frame, Page } from 'playwright-core';
import { z } from 'zod';
import { eventually } from '../support/eventually.js';
import { InstalledApplication, type PageRequest } from '../support/installed-application.js';
import { startRelay, type Relay } from '../support/relay.js';
import { seriousFindings } from './accessibility.js';
import { startChromium } from './chromium.mjs';

/** Whether the portal's page answers the messages of the application's frame. */
type Portal = 'answers' | 'is silent';

/**
 * The portal's page around the application: it posts to the frame as Bitrix24 does, and answers the messages of the official
 * library in it (`command:parameters:key:session`).
 */
function portalPage(action: string, { query, form }: PageRequest, portal: Portal): string {
  const fields = [...form].map(([name, value]) => `<input type="hidden" name="${name}" value="${value}">`);
  const parameters = new URLSearchParams(query);
  const name = [parameters.get('DOMAIN'), parameters.get('PROTOCOL'), parameters.get('APP_SID')].join('|');
  const data = {
    AUTH_ID: form.get('AUTH_ID'),
    REFRESH_ID: form.get('REFRESH_ID'),
    AUTH_EXPIRES: '3600',
    MEMBER_ID: form.get('member_id'),
    DOMAIN: parameters.get('DOMAIN'),
    PROTOCOL: parameters.get('PROTOCOL'),
    LANG: parameters.get('LANG'),
    IS_ADMIN: true,
    INSTALL: true,
  };
  return `<iframe name="${name}" width="800" height="600"></iframe>
    <form method="post" target="${name}" action="${action}?${query.replaceAll('&', '&amp;')}">${fields.join('')}</form>
    <script>
      addEventListener('message', ({ data, source, origin }) => {
        const [command, ...rest] = String(data).split(':');
        window.heard(command);
        const key = rest.at(-2);
        const answer = (json) => source.postMessage(key + ':' + json, origin);
        if (${JSON.stringify(portal)} !== 'answers') return;
        if (command === 'getInitData') answer(${JSON.stringify(JSON.stringify(data))});
        if (command === 'refreshAuth') window.newToken().then(answer);
      });
      document.forms[0].submit();
    </script>`;
}

/** Real: Chromium, gateway, PostgreSQL, the official library in the page. Simulated: Bitrix24; its page is played here. */
describe('the install page in a browser', () => {
  let relay: Relay;
  let browser: Browser;
  let page: Page;
  let app: InstalledApplication;
  /** Of the portal's page: a real one, or the browser's rules about networks would get in the way. */
  let server: Server;
  let shown: string;
  let heard: string[];
  let problems: string[];
  let hosts: Set<string>;
  let made = 0;

  beforeAll(async () => {
    [browser, relay] = await Promise.all([startChromium(), startRelay('PostgreSQL', ['name-formatter'])]);
    server = createServer((_request, response) => {
      response.setHeader('content-type', 'text/html; charset=utf-8').end(shown);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    server?.close();
    await relay?.stop();
  }, 30_000);

  beforeEach(async () => {
    made += 1;
    app = new InstalledApplication(relay, await relay.portal(`portal-${made}`));
    await app.install('page');
    [heard, problems, hosts] = [[], [], new Set()];
    page = await browser.newPage();
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text());
    });
    page.on('pageerror', ({ message }) => problems.push(message));
    page.on('request', (request) => hosts.add(new URL(request.url()).host));
    await play(page);
  });
  afterEach(() => page.close());

  const portalHost = (): string => `127.0.0.1:${z.object({ port: z.number() }).parse(server.address()).port}`;

  /** What the portal's page can do. The token that the frame begins with is dead once our server has exchanged its pair. */
  async function play(around: Page): Promise<void> {
    await around.exposeFunction('heard', (what: string) => heard.push(what));
    await around.exposeFunction('newToken', async () => {
      const { form } = await app.opening();
      const [accessToken, refreshToken] = [form.get('AUTH_ID'), form.get('REFRESH_ID')];
      return JSON.stringify({ AUTH_ID: accessToken, REFRESH_ID: refreshToken, AUTH_EXPIRES: '3600' });
    });
  }

  /** As Bitrix24 opens it, from a portal that is where its page is. */
  async function openingAtPortal(language = 'en'): Promise<PageRequest> {
    const { query, form } = await app.opening();
    const parameters = new URLSearchParams(query);
    parameters.set('DOMAIN', portalHost());
    parameters.set('LANG', language);
    return { query: parameters.toString(), form };
  }

  /** Opens the application in a frame of the portal's page. */
  async function open(url: string, opening: PageRequest, portal: Portal = 'answers'): Promise<void> {
    shown = portalPage(url, opening, portal);
    await page.goto(`http://${portalHost()}/`);
  }

  function frame(): Promise<Frame> {
    return eventually(async () => {
      const found = page.frames().find((each) => each.parentFrame() !== null);
      if (!found) throw new Error('there is no frame');
      await found.locator('h1').waitFor({ timeout: 1_000 });
      return found;
    });
  }

  it('ends the installation, once, and asks no other host', async () => {
    await open(app.installUrl, await openingAtPortal());
    const framed = await frame();
    await framed.getByText('Bitrix24 has been told that the installation is finished.').waitFor();
    await framed.locator('#app[data-ready]').waitFor();
    expect(await framed.locator('.steps li').count()).toBeGreaterThan(1);
    expect(heard.filter((command) => command === 'setInstallFinish')).toHaveLength(1);
    expect([...hosts].toSorted()).toEqual([portalHost(), new URL(relay.gatewayUrl).host].toSorted());
    expect(problems).toEqual([]);
  });

  it('is a plain page where Bitrix24 does not answer, and ends nothing', async () => {
    await open(app.installUrl, await openingAtPortal(), 'is silent');
    const framed = await frame();
    expect(await framed.locator('h1').textContent()).toBe('b24-relay is installed');
    await eventually(() => Promise.resolve(expect(heard).toEqual(['getInitData'])));
  });

  it('does not end an installation that is rejected', async () => {
    const rejected = await openingAtPortal();
    rejected.form.set('REFRESH_ID', randomBytes(16).toString('hex'));
    await open(app.installUrl, rejected);
    await (await frame()).getByText('did not confirm this portal').waitFor();
    expect(heard).toEqual([]);
  });

  it('runs no script but its own', async () => {
    await open(app.installUrl, await openingAtPortal());
    const ran = await (
      await frame()
    ).evaluate(() => {
      const script = document.createElement('script');
      try {
        script.textContent = 'document.title = "run"';
      } catch {
        // Trusted types reject it before the policy does.
      }
      document.body.append(script);
      return document.title;
    });
    expect(ran).not.toBe('run');
    expect(problems.join()).toMatch(/Content Security Policy|TrustedScript/);
  });

  it('is shown in no frame but that of its portal', async () => {
    await open(app.installUrl, await app.opening());
    await eventually(() => Promise.resolve(expect(problems.join()).toContain('frame-ancestors')));
    expect(heard).toEqual([]);
  });

  it('is followed by the application’s page: status, a preview while one types, settings, in the language of the user', async () => {
    await open(app.installUrl, await openingAtPortal());
    await (await frame()).locator('#app[data-ready]').waitFor();
    await app.finish();
    [heard, problems] = [[], []];
    await open(app.appUrl, await openingAtPortal('de'));
    const framed = await frame();
    await framed.locator('#app[data-ready]').waitFor();
    await framed.getByText('Verbunden: Ereignisse werden empfangen und bearbeitet.').waitFor();
    expect(await framed.locator('html').getAttribute('lang')).toBe('de');
    const shows = (text: string) => framed.locator('[data-preview-result]', { hasText: text }).waitFor();
    await framed.locator('[name=preview]').fill('von der LEYEN');
    await shows('Von der Leyen');
    await framed.locator('[name=preview]').fill('von der Leyen');
    await shows('von der Leyen');
    // Before it is saved.
    await framed.locator('[name=firstWord]').selectOption('capital');
    await shows('Von der Leyen');
    await framed.locator('form[data-settings] button').press('Enter');
    await framed.locator('form [role=status]', { hasText: 'Gespeichert.' }).waitFor();
    expect(heard).not.toContain('setInstallFinish');

    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      expect(await seriousFindings(framed)).toEqual([]);
    }
    await page.locator('iframe').evaluate((element) => element.setAttribute('width', '390'));
    await eventually(async () =>
      expect(
        await framed.evaluate(() => [innerWidth, document.documentElement.scrollWidth <= innerWidth]),
      ).toEqual([390, true]),
    );
    expect(problems).toEqual([]);
  });
});
