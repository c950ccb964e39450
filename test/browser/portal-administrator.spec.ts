import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Browser, BrowserContextOptions, Frame, Page } from 'playwright-core';
import { eventually } from '../support/eventually.js';
import { listedPortal } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import { contactTypeId, type SimulatedPortal } from '../support/simulated-portal.js';
import { control } from '../support/simulator-control.js';
import { seriousFindings } from './accessibility.js';
import { startChromium } from './chromium.mjs';
import { keepPicture } from './keep-picture.js';
import { problemsOfClosed, watchPage } from './watched-page.js';

const administrator = 1;
const plainUser = 2;
const formerAdministrator = 3;

/** Real: Chromium, the page and the official library in it, every app as built, PostgreSQL. Simulated: Bitrix24. */
describe("the portal's administrator", () => {
  let relay: Relay;
  let portal: SimulatedPortal;
  let browser: Browser;
  let simulatorUrl: string;
  let page: Page;
  let problems: string[];

  beforeAll(async () => {
    [browser, relay] = await Promise.all([startChromium(), startRelay('PostgreSQL', ['name-formatter'])]);
    simulatorUrl = `http://127.0.0.1:${relay.env['SIMULATOR_PORT']}`;
    portal = await relay.portal('acme');
  }, 240_000);
  afterAll(async () => {
    await browser?.close();
    await relay?.stop();
  }, 120_000);
  afterEach(async () => {
    await page.close();
    expect(problems).toEqual([]);
  });

  async function goto(path: string, options: BrowserContextOptions = {}): Promise<void> {
    ({ page, problems } = await watchPage(browser, simulatorUrl, options, [relay.gatewayUrl]));
    await page.goto(simulatorUrl + path);
  }

  /** What the application shows in its frame, once it shows the status. */
  async function frameAt(path: '/b24/install' | '/b24/app'): Promise<Frame> {
    return eventually(async () => {
      const frame = page.frames().find((one) => one.url().startsWith(relay.gatewayUrl + path));
      if (!frame) throw new Error(`no frame shows ${path}`);
      await frame.locator('#app[data-ready]').waitFor({ timeout: 10_000 });
      return frame;
    });
  }

  async function open(userId: number, options: BrowserContextOptions = {}, language = 'en'): Promise<Frame> {
    await goto(`/portals/acme/app/?user=${userId}&language=${language}`, options);
    return frameAt('/b24/app');
  }

  async function setAdministrator(userId: number, is: boolean): Promise<void> {
    await control('POST', `${simulatorUrl}/_sim/portals/acme/rights`, { userId, administrator: is });
  }

  async function settingsOfNames(): Promise<unknown> {
    const { settings } = await listedPortal(relay, portal.memberId);
    return Object(settings)['name-formatter'];
  }

  it('installs the application in its frame, which then shows what is done', async () => {
    await goto('/#acme');
    const section = page.getByRole('region', { name: 'Developer resources' });
    await section.getByLabel('Install page').fill(`${relay.gatewayUrl}/b24/install`);
    await keepPicture(page, 'portal-before-install');
    await section.getByRole('button', { name: 'Install in a frame' }).click();
    const frame = await frameAt('/b24/app');
    expect(page.url()).toContain('install_finished=Y');
    await frame.getByText('Connected: events are received and worked on.').waitFor();
    await frame
      .getByRole('listitem')
      .filter({ hasText: 'Events are subscribed to' })
      .getByText('done')
      .waitFor();
    expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTADD');
    await keepPicture(page, 'portal-installed');
  });

  it('tries a setting on a name, saves it, and the next contact follows it', async () => {
    const frame = await open(administrator);
    const result = frame.locator('[data-preview-result]');
    await frame.locator('[name=preview]').fill('von der Leyen');
    await eventually(async () => expect(await result.textContent()).toBe('von der Leyen'));
    await frame.locator('[name=preview]').fill("jOHN o'NEIL");
    await eventually(async () => expect(await result.textContent()).toBe("John O'Neil"));
    await frame.locator('[name=preview]').fill('von der Leyen');
    await frame.locator('[name=firstWord]').selectOption('capital');
    await eventually(async () => expect(await result.textContent()).toBe('Von der Leyen'));
    expect(await settingsOfNames()).toBeUndefined();
    await frame.locator('form[data-settings] [type=submit]').click();
    await frame.locator('form[data-settings] [role=status]').getByText('Saved.').waitFor();
    await keepPicture(page, 'portal-settings');
    expect(await settingsOfNames()).toEqual({ firstWord: 'capital' });
    const { id } = await portal.add(contactTypeId, { name: 'ursula', lastName: 'von der Leyen' });
    await eventually(async () => {
      expect(await portal.item(contactTypeId, id)).toMatchObject({
        name: 'Ursula',
        lastName: 'Von der Leyen',
      });
    });
    await page.reload();
    expect(await (await frameAt('/b24/app')).locator('[name=firstWord]').inputValue()).toBe('capital');
  });

  it('is the only one who changes settings: another user reads them', async () => {
    const frame = await open(plainUser);
    const form = frame.locator('form[data-settings]');
    expect(await form.locator('[name=firstWord]').isDisabled()).toBe(true);
    expect(await form.locator('[type=submit]').count()).toBe(0);
    await keepPicture(page, 'portal-reader');
    await frame.locator('[name=preview]').fill('éLODIE');
    await eventually(async () =>
      expect(await frame.locator('[data-preview-result]').textContent()).toBe('Élodie'),
    );
    // By the form that is not offered.
    await frame.evaluate(`document.querySelector('form[data-settings]').requestSubmit()`);
    await form.getByRole('alert').getByText('Only an administrator').waitFor();
    // The browser says of itself that it was rejected.
    expect(await problemsOfClosed({ page, problems })).toEqual([expect.stringContaining('403')]);
    expect(await settingsOfNames()).toEqual({ firstWord: 'capital' });
  });

  it('who is none any more changes nothing, although the page is open', async () => {
    await setAdministrator(formerAdministrator, true);
    const frame = await open(formerAdministrator);
    const form = frame.locator('form[data-settings]');
    await form.locator('[name=firstWord]').selectOption('asWritten');
    await setAdministrator(formerAdministrator, false);
    await form.locator('[type=submit]').click();
    await form.getByRole('alert').getByText('Only an administrator').waitFor();
    expect(await problemsOfClosed({ page, problems })).toEqual([expect.stringContaining('403')]);
    expect(await settingsOfNames()).toEqual({ firstWord: 'capital' });
  });

  it.each([
    ['light', 1280, 'de'],
    ['dark', 390, 'ru'],
  ] as const)(
    'sees pages without a serious finding of axe-core: %s, %d px, %s',
    async (colorScheme, width, language) => {
      const options = { colorScheme, viewport: { width, height: 800 } };
      const frame = await open(administrator, options, language);
      const fits = `document.documentElement.scrollWidth <= innerWidth`;
      expect(await seriousFindings(page)).toEqual([]);
      expect(await seriousFindings(frame)).toEqual([]);
      expect([await page.evaluate(fits), await frame.evaluate(fits)]).toEqual([true, true]);
      expect(await frame.evaluate('document.documentElement.lang')).toBe(language);
      await keepPicture(page, `portal-${language}-${colorScheme}-${width}`);
      await page.goto(`${simulatorUrl}/#acme`);
      await page.getByRole('heading', { name: 'Developer resources' }).waitFor();
      expect(await seriousFindings(page)).toEqual([]);
      expect(await page.evaluate(fits)).toBe(true);
      await keepPicture(page, `portal-developer-${colorScheme}-${width}`);
    },
  );
});
