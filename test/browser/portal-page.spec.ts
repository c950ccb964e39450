import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { eventually } from '../support/eventually.js';
import { listedPortal } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';
import { seriousFindings } from './accessibility.js';
import { startChromium } from './chromium.mjs';
import { problemsOfClosed, watchPage } from './watched-page.js';

/** Real: Chromium, control plane, gateway, name-formatter, PostgreSQL. Simulated: Bitrix24. */
describe('a portal on the console', () => {
  let relay: Relay;
  let portal: SimulatedPortal;
  let domain: string;
  let browser: Browser;
  let database: pg.Client;
  let page: Page;
  let problems: string[];

  beforeAll(async () => {
    [browser, relay] = await Promise.all([startChromium(), startRelay('PostgreSQL', ['name-formatter'])]);
    portal = await relay.portal('acme');
    domain = `acme.${new URL(relay.outside.url).host}`;
    await portal.install(`${relay.gatewayUrl}/b24/install`);
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONAPPTEST');
    });
    database = new pg.Client({ connectionString: relay.env['DATABASE_URL'] });
    await database.connect();
  }, 240_000);
  afterAll(async () => {
    await database?.end();
    await browser?.close();
    await relay?.stop();
  }, 120_000);

  async function open(view: string, options: BrowserContextOptions = {}): Promise<void> {
    const url = `http://127.0.0.1:${relay.opsPort('control-plane')}/ops`;
    ({ page, problems } = await watchPage(browser, url, options));
    await page.goto(`${url}#/${view}`);
    await page.getByLabel('OPS_TOKEN').fill(relay.env['OPS_TOKEN'] ?? '');
    await page.keyboard.press('Enter');
    await page.getByRole('status').getByText('live', { exact: true }).waitFor();
  }

  beforeEach(() => open(`portals/${portal.memberId}`));
  afterEach(async () => {
    await page.close();
    expect(problems).toEqual([]);
  });

  it('sends a test event, which comes', async () => {
    await page.getByRole('heading', { name: domain }).waitFor();
    await page.getByRole('button', { name: 'Send a test event' }).press('Enter');
    const said = page.getByText(/^An event has come, after/);
    await said.waitFor();
    expect(await said.innerText()).toMatch(/after [\d,]+ ms\.$/);
  });

  it('is set by a form made of the schema of the consumer, and what is invalid is said', async () => {
    const form = page.getByRole('form', { name: 'Settings for name-formatter' });
    await form.getByLabel('particles').selectOption('capital');
    await form.getByLabel('language').fill('nl');
    await form.getByRole('button', { name: 'Save' }).press('Enter');
    await form.getByText('Saved.').waitFor();
    expect((await listedPortal(relay, portal.memberId)).settings).toEqual({
      'name-formatter': { particles: 'capital', language: 'nl' },
    });
    await form.getByLabel('particles').selectOption('');
    await form.getByRole('button', { name: 'Save' }).click();
    await eventually(async () => {
      expect((await listedPortal(relay, portal.memberId)).settings).toEqual({
        'name-formatter': { language: 'nl' },
      });
    });
  });

  it('gets another limit, and one that is none is rejected', async () => {
    const limit = page.getByRole('region', { name: 'Limit' });
    await limit.getByText('2 requests a second, 50 at once').waitFor();
    await limit.getByLabel('New limit').selectOption({ label: 'other numbers' });
    await limit.getByLabel('A second').fill('0');
    await limit.getByRole('button', { name: 'Set' }).click();
    await limit.getByText(/must be a number from 0\.01 to 10000 requests a second/).waitFor();
    await limit.getByLabel('A second').fill('7.5');
    await limit.getByLabel('At once').fill('30');
    await limit.getByRole('button', { name: 'Set' }).click();
    await limit.getByText('7.5 requests a second, 30 at once').waitFor();
    // The browser says of itself that one was rejected.
    expect(await problemsOfClosed({ page, problems })).toEqual([expect.stringContaining('400')]);
  });

  it('whose handlers somebody took away is compared, and put right', async () => {
    const events = page.getByRole('region', { name: 'Events' });
    const handler = `${relay.gatewayUrl}/b24/events`;
    await events.getByRole('button', { name: 'Compare with the portal' }).click();
    await events.getByText('Its handlers are those that are wanted').waitFor();
    await portal.dropHandlers();
    await events.getByRole('button', { name: 'Compare with the portal' }).press('Enter');
    await events.getByText('ONCRMCONTACTADD is missing').waitFor();
    await events.getByRole('button', { name: `Put right ${domain}` }).press('Enter');
    await events.getByRole('button', { name: `Put right now? ${domain}` }).press('Enter');
    await events.getByText(/^\d+ handlers bound, 0 unbound\.$/).waitFor();
    expect(await portal.eventsBoundTo(handler)).toContain('ONCRMCONTACTADD');
  });

  it('that is suspended says why and until when, in the overview too, and is resumed', async () => {
    await database.query(
      `UPDATE portals.portals SET state = 'suspended', suspended_reason = 'OVERLOAD_LIMIT', suspended_times = 1,
         suspended_until = now() + interval '5 hours' WHERE member_id = $1`,
      [portal.memberId],
    );
    await page.getByRole('link', { name: 'Overview' }).click();
    const finding = page.getByRole('region', { name: 'Needs attention' });
    await finding.getByRole('link', { name: '1 portal suspended' }).press('Enter');
    await page.getByText(/^OVERLOAD_LIMIT, next try /).waitFor();
    await page.getByRole('button', { name: `Resume ${domain}` }).press('Enter');
    await page.getByRole('button', { name: `Resume now? ${domain}` }).press('Enter');
    await page.getByText('installed', { exact: true }).waitFor();
    expect((await listedPortal(relay, portal.memberId)).state).toBe('installed');
  });

  it('that does not exist is said to be none', async () => {
    await page.evaluate(() => {
      location.hash = '#/portals/nobody';
    });
    await page.getByText('There is no such portal').waitFor();
    for (const problem of await problemsOfClosed({ page, problems })) expect(problem).toContain('404');
  });

  it.each([
    ['light', 1280],
    ['dark', 1280],
    ['light', 390],
    ['dark', 390],
  ] as const)(
    'and every other view have no serious finding of axe-core: %s, %d px',
    async (colorScheme, width) => {
      await page.close();
      const options = { colorScheme, viewport: { width, height: 800 } };
      for (const view of [
        '',
        'dead-letters',
        'portals',
        `portals/${portal.memberId}`,
        'consumers',
        'mirror',
      ]) {
        await open(view, options);
        // Of the last part of each view.
        await page.getByRole('heading', { level: 2 }).last().waitFor();
        expect([view, await seriousFindings(page)]).toEqual([view, []]);
        const fits = await page.evaluate(() => document.documentElement.scrollWidth);
        expect([view, fits]).toEqual([view, width]);
        expect(problems).toEqual([]);
        if (view !== 'mirror') await page.close();
      }
    },
  );
});
