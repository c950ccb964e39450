import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import type { Browser, Frame, Page } from 'playwright-core';
import { eventually } from '../support/eventually.js';
import { InstalledApplication, type PageRequest } from '../support/installed-application.js';
import { startRelay, type Relay } from '../support/relay.js';
import { startChromium } from './chromium.mjs';

/** What the page needs of Bitrix24's library (sdk/bx24-js-sdk/system-functions/); the test hears what it is told. */
const frameLibrary = `
  window.BX24 = {
    init: (whenReady) => setTimeout(whenReady),
    installFinish: () => window.heard('installFinish'),
  };
`;

/** The portal's page around the application, which posts to the frame as Bitrix24 does. */
function portalPage(action: string, { query, form }: PageRequest): string {
  const fields = [...form].map(([name, value]) => `<input type="hidden" name="${name}" value="${value}">`);
  return `<iframe name="application" width="800" height="600"></iframe>
    <form method="post" target="application" action="${action}?${query.replaceAll('&', '&amp;')}">${fields.join('')}</form>
    <script>document.forms[0].submit()</script>`;
}

/** Real: Chromium, gateway, PostgreSQL. Simulated: Bitrix24; its library for frames is replaced by what is heard. */
describe('the install page in a browser', () => {
  let relay: Relay;
  let browser: Browser;
  let page: Page;
  let app: InstalledApplication;
  let heard: string[];
  let problems: string[];
  let made = 0;

  beforeAll(async () => {
    [browser, relay] = await Promise.all([startChromium(), startRelay('PostgreSQL', [])]);
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await relay?.stop();
  }, 30_000);

  beforeEach(async () => {
    made += 1;
    app = new InstalledApplication(relay, await relay.portal(`portal-${made}`));
    await app.install('page');
    [heard, problems] = [[], []];
    page = await browser.newPage();
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text());
    });
    page.on('pageerror', ({ message }) => problems.push(message));
    await page.exposeFunction('heard', (what: string) => heard.push(what));
  });
  afterEach(() => page.close());

  /** Opens the application in its frame; `library` undefined: Bitrix24's is out of reach. */
  async function open(url: string, opening: PageRequest, library?: string): Promise<Frame> {
    await page.route('https://api.bitrix24.com/**', (route) =>
      library === undefined
        ? route.abort()
        : route.fulfill({ contentType: 'text/javascript', body: library }),
    );
    // Below the gateway's own address, so that no rule of the browser about other hosts gets in the way.
    const portalUrl = `${relay.gatewayUrl}/portal`;
    await page.route(portalUrl, (route) =>
      route.fulfill({ contentType: 'text/html', body: portalPage(url, opening) }),
    );
    await page.goto(portalUrl);
    return eventually(async () => {
      const frame = page.frame('application');
      if (!frame) throw new Error('there is no frame');
      await frame.locator('h1').waitFor({ timeout: 1_000 });
      return frame;
    });
  }

  it('ends the installation, once', async () => {
    const frame = await open(app.installUrl, await app.opening(), frameLibrary);
    await frame.getByText('Bitrix24 has been told that the installation is finished.').waitFor();
    expect(await frame.locator('h1').textContent()).toBe('b24-relay is installed');
    expect(heard).toEqual(['installFinish']);
    expect(problems).toEqual([]);
  });

  it('says so when the library of Bitrix24 cannot be loaded', async () => {
    const frame = await open(app.installUrl, await app.opening());
    await frame.getByText('could not be loaded').waitFor();
    expect(heard).toEqual([]);
  });

  it('does not end an installation that is refused', async () => {
    const opening = await app.opening();
    opening.form.set('REFRESH_ID', randomBytes(16).toString('hex'));
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).host));
    const frame = await open(app.installUrl, opening, frameLibrary);
    await frame.getByText('did not confirm this portal').waitFor();
    expect(heard).toEqual([]);
    expect(asked).not.toContain('api.bitrix24.com');
  });

  it('runs no script but its own', async () => {
    const frame = await open(app.installUrl, await app.opening(), frameLibrary);
    const ran = await frame.evaluate(() => {
      const script = document.createElement('script');
      script.textContent = 'document.title = "run"';
      document.body.append(script);
      return document.title;
    });
    expect(ran).not.toBe('run');
    expect(problems.join()).toContain('Content Security Policy');
  });

  it('leaves the application’s page in its place, which runs none at all', async () => {
    await open(app.installUrl, await app.opening(), frameLibrary);
    await app.finish();
    await page.close();
    page = await browser.newPage();
    problems = [];
    page.on('console', (message) => problems.push(message.text()));
    const frame = await open(app.appUrl, await app.opening(), frameLibrary);
    await frame.getByText('Connected: events are received and worked on.').waitFor();
    expect(await frame.locator('script').count()).toBe(0);
    expect(problems).toEqual([]);
  });
});
