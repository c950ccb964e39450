import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { Browser, Locator, Page } from 'playwright-core';
import { z } from 'zod';
import { eventually } from '../support/eventually.js';
import { askGateway } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';
import { startChromium } from './chromium.mjs';
import { problemsOfClosed, watchPage } from './watched-page.js';

const markup = '<img src=x onerror=alert(1)>';
const types = [
  { entityTypeId: 147, title: 'Deliveries' },
  { entityTypeId: 148, title: markup },
];
/** Several requests' worth: what is seen between two of them is progress. */
const itemsOfType = 5_000;

const sync = z.object({
  tasks: z.array(z.object({ kind: z.string(), progress: z.object({ items: z.number().optional() }) })),
});

/** Real: Chromium, gateway, smart-process-sync, PostgreSQL. Simulated: Bitrix24. */
describe('the operators’ console in a browser', () => {
  let relay: Relay;
  let portal: SimulatedPortal;
  let browser: Browser;
  let url: string;
  let token: string;
  let page: Page;
  let problems: string[];

  beforeAll(async () => {
    [browser, relay] = await Promise.all([
      startChromium(),
      startRelay('PostgreSQL', ['smart-process-sync'], { apart: [['smart-process-sync']] }),
    ]);
    url = `http://127.0.0.1:${relay.opsPort('control-plane')}/ops`;
    token = relay.env['OPS_TOKEN'] ?? '';
    portal = await relay.portal('acme', { types, missingReference: 'empty', rate: 50, burst: 500 });
    for (const { entityTypeId } of types) await portal.crm.makeItems(entityTypeId, itemsOfType);
    await portal.install(`${relay.gatewayUrl}/b24/install`);
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await relay?.stop();
  }, 30_000);

  beforeEach(async () => {
    ({ page, problems } = await watchPage(browser, url));
    await page.goto(url);
  });
  afterEach(async () => {
    await page.close();
    expect(problems).toEqual([]);
  });

  async function signIn(): Promise<void> {
    await page.getByLabel('OPS_TOKEN').fill(token);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('live', { exact: true }).waitFor();
  }

  async function open(view: string): Promise<void> {
    await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: view }).click();
  }

  /** What is said of a work at the portal. */
  function task(work: string): Locator {
    return page
      .getByRole('listitem')
      .filter({ has: page.getByRole('progressbar', { name: new RegExp(`^${work} of`) }) });
  }

  async function partDone(work: string): Promise<number> {
    const bar = task(work).getByRole('progressbar');
    return await bar.evaluate((element) => (element instanceof HTMLProgressElement ? element.value : NaN));
  }

  it('lets nobody in with a wrong token, and says so', async () => {
    await page.getByLabel('OPS_TOKEN').fill('a wrong one, with a sign that no header carries: ж');
    await page.keyboard.press('Enter');
    await page.getByText('That is not the OPS_TOKEN of this control plane.').waitFor();
    await page.getByLabel('OPS_TOKEN').fill(`${token}x`);
    const rejected = page.waitForResponse((answer) => answer.status() === 401);
    await page.keyboard.press('Enter');
    await rejected;
    await page.getByText('That is not the OPS_TOKEN of this control plane.').waitFor();
    expect(await page.getByRole('region').count()).toBe(0);
    expect(await page.evaluate(() => sessionStorage.length)).toBe(0);
    // The browser says of itself that it was rejected.
    expect(await problemsOfClosed({ page, problems })).toEqual([expect.stringContaining('401')]);
  });

  it('shows the first reading of a portal, its types by their titles as text', async () => {
    await signIn();
    await open('Mirror');
    const first = task('First reading');
    await first.getByText('done', { exact: true }).waitFor();
    await first.getByText('10,000 items').waitFor();
    // What has ended shows one line only, until somebody asks.
    await page.reload();
    await first.getByText('2 smart processes').click();
    await first.getByText(markup, { exact: true }).waitFor();
    expect(await first.getByRole('listitem').allInnerTexts()).toEqual([
      expect.stringMatching(/^Deliveries\s+147\s+5,000$/),
      expect.stringMatching(/^<img src=x onerror=alert\(1\)>\s+148\s+5,000$/),
    ]);
    expect(await page.locator('main img').count()).toBe(0);
  });

  it('asks for a backfill, by the keyboard alone, and shows how far it is until it is done', async () => {
    await signIn();
    await open('Mirror');
    await task('First reading').getByText('done', { exact: true }).waitFor();
    await portal.set({ latencyMs: 1_000 });
    await open('Portals');
    await page.getByLabel('Filter').fill('ACME');
    await page.getByText('1 of 1', { exact: true }).waitFor();
    const domain = `acme.${new URL(relay.outside.url).host}`;
    const button = page.getByRole('button', { name: `Backfill ${domain}` });
    await button.press('Enter');
    await page.getByRole('button', { name: `Backfill now? ${domain}` }).press('Enter');
    await page.getByRole('button', { name: `Asked for ✓ ${domain}` }).waitFor();
    expect(await page.getByLabel('Filter').inputValue()).toBe('ACME');
    await open('Mirror');

    // After its first items it is held, so that there is progress to be seen, however seldom the page may ask.
    await eventually(async () => {
      const { tasks } = sync.parse(await askGateway(relay, 'GET', `/sync/${portal.memberId}`));
      expect(tasks.find(({ kind }) => kind === 'backfill')?.progress.items).toBeGreaterThan(0);
    });
    await portal.set({ latencyMs: 60_000 });
    const backfill = task('Backfill');
    await backfill.getByText('running', { exact: true }).waitFor();
    await eventually(async () => {
      expect(await backfill.innerText()).toMatch(/[1-9][\d,]* items · [\d,]+ a second · \d+ s left/);
      const part = await partDone('Backfill');
      expect(part).toBeGreaterThan(0);
      expect(part).toBeLessThan(1);
    });
    await portal.set({ latencyMs: 0 });
    await backfill.getByText('done', { exact: true }).waitFor();
    expect(await backfill.innerText()).toMatch(/100 %\s+10,000 items · in \d+ s · \d+ s ago/);
    expect(await partDone('Backfill')).toBe(1);
  });

  it('shows consumers, the journal and portals', async () => {
    await signIn();
    await open('Consumers');
    const row = page
      .getByRole('row')
      .filter({ has: page.getByRole('rowheader', { name: 'smart-process-sync' }) });
    await row.waitFor();
    expect(await row.getByRole('cell').allInnerTexts()).toEqual([
      expect.stringMatching(/^(–|[\d.,]+\/s)$/),
      '0',
      '0',
      '0',
      '0',
      '0',
      '–',
      '1',
    ]);
    await page.getByText('Slot 0: empty').waitFor();
    await open('Portals');
    const portals = page.getByRole('region', { name: 'Portals' });
    await portals.getByText(portal.memberId).waitFor();
    await portals.locator('.state').getByText('installed', { exact: true }).waitFor();
    await page.getByLabel('Filter').fill('nobody');
    await portals.getByText('No portal has that').waitFor();
    expect(await portals.getByRole('button').count()).toBe(0);
  });

  it('asks for nothing while nobody looks, and goes on when somebody does', async () => {
    await page.clock.install();
    await page.reload();
    await signIn();
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    // Again, since a request that is under way at the leap is followed by a rest.
    await eventually(async () => {
      await page.clock.fastForward(60_000);
      expect(asked.length).toBeGreaterThan(0);
    });
    await page.evaluate(() => {
      Object.defineProperty(document, 'hidden', { value: true, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    });
    asked.splice(0);
    for (let minutes = 0; minutes < 3; minutes++) {
      await page.clock.fastForward(60_000);
      // What the page sends of its own is seen before what it answers to this.
      await page.evaluate(() => fetch('/health/live').then((answer) => answer.text()));
    }
    expect(asked.map((address) => new URL(address).pathname)).toEqual(Array(3).fill('/health/live'));
    await page.evaluate(() => {
      Reflect.deleteProperty(document, 'hidden');
      document.dispatchEvent(new Event('visibilitychange'));
    });
    await eventually(() => expect(asked.join()).toContain('/ops/api/sync'));
  });

  it('says that the control plane does not answer, and of when it is what it shows', async () => {
    await signIn();
    await open('Consumers');
    await page.getByText('Slot 0: empty').waitFor();
    await page.context().setOffline(true);
    await page.getByText('the control plane does not answer', { exact: true }).waitFor();
    const journal = page.getByRole('region', { name: 'Journal' });
    await journal.getByText(/^What you see is of \d/).waitFor();
    await journal.getByText('Slot 0: empty').waitFor();
    await page.context().setOffline(false);
    await page.getByText('live', { exact: true }).waitFor();
    await journal.getByText(/^What you see is of/).waitFor({ state: 'hidden' });
    for (const problem of await problemsOfClosed({ page, problems }))
      expect(problem).toContain('ERR_INTERNET_DISCONNECTED');
  });

  it('says of one part alone that it cannot be read', async () => {
    await page.route('**/ops/api/consumers', (route) =>
      route.fulfill({ status: 503, json: { error: 'The bus cannot be reached' } }),
    );
    await signIn();
    await page.getByText('The consumers cannot be read: The bus cannot be reached').waitFor();
    await open('Consumers');
    await page.getByRole('region', { name: 'Consumers' }).getByText('The bus cannot be reached').waitFor();
    await page.getByText('Slot 0: empty').waitFor();
    for (const problem of await problemsOfClosed({ page, problems })) expect(problem).toContain('503');
  });

  it('shows the dead letters of one cause in pages', async () => {
    const consumer = 'smart-process-sync';
    const at = new Date().toISOString();
    const letters = Array.from({ length: 150 }, (_, number) => ({
      id: String(number),
      consumer,
      code: 'BROKEN',
      message: 'It is broken',
      attempts: 1,
      firstFailedAt: at,
      lastFailedAt: at,
      memberId: null,
      event: 'ONCRMDEALADD',
      entity: `CRMDEAL:${number}`,
      receivedAt: at,
    }));
    const group = {
      consumer,
      code: 'BROKEN',
      message: 'It is broken',
      letters: letters.length,
      portals: [],
      portalCount: 0,
      events: [],
      firstDiedAt: at,
      lastDiedAt: at,
    };
    await page.route('**/ops/api/dead-letters/groups*', (route) =>
      route.fulfill({
        json: { groups: [group], matching: letters.length, complete: true, countedAt: at },
      }),
    );
    await page.route('**/ops/api/dead-letters?*', (route) => {
      const query = new URL(route.request().url()).searchParams;
      const from = query.has('after') ? Number(query.get('after')) + 1 : 0;
      const deadLetters = letters.slice(from, from + Number(query.get('limit')));
      const last = deadLetters.at(-1);
      const next = last && last !== letters.at(-1) ? { next: last.id } : {};
      return route.fulfill({ json: { deadLetters, matching: letters.length, complete: true, ...next } });
    });
    await signIn();
    await open('Dead letters');
    await page.getByRole('link', { name: 'BROKEN' }).click();
    const shown = page.getByRole('region', { name: 'Letters' }).getByRole('listitem');
    await page.getByText('the oldest 100 of 150').waitFor();
    expect(await shown.count()).toBe(100);
    await page.getByRole('button', { name: 'Show 100 more' }).press('Enter');
    await page.getByText('the oldest 150 of 150').waitFor();
    expect(await shown.count()).toBe(150);
    expect(await page.getByRole('button', { name: /^Show \d+ more$/ }).count()).toBe(0);
  });

  it('keeps the token in this tab alone, and forgets it', async () => {
    const addresses: string[] = [];
    page.on('request', (request) => addresses.push(request.url()));
    await signIn();
    await page.reload();
    await page.getByText('live', { exact: true }).waitFor();
    expect(await page.evaluate(() => Object.values(sessionStorage))).toEqual([token]);
    const kept = await page.evaluate(() => [Object.values(localStorage), document.cookie, location.href]);
    expect(JSON.stringify(kept)).not.toContain(token);
    expect(addresses.join()).not.toContain(token);
    expect(await page.content()).not.toContain(token);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
    expect(await page.evaluate(() => sessionStorage.length)).toBe(0);
    expect(await page.content()).not.toContain(portal.memberId);
  });

  it('signs out by itself when the token is another by now', async () => {
    await page.evaluate(() => sessionStorage.setItem('OPS_TOKEN', 'the one of last year'));
    await page.reload();
    await page.getByText('That is not the OPS_TOKEN of this control plane.').waitFor();
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
    for (const problem of await problemsOfClosed({ page, problems })) expect(problem).toContain('401');
  });

  it('shows many portals in pages, and finds any of them by its name or state', async () => {
    const database = new pg.Client({ connectionString: relay.env['DATABASE_URL'] });
    await database.connect();
    await database.query(
      `INSERT INTO portals.portals (member_id, domain, client_endpoint, state, scope, status)
       SELECT 'member-' || n, n || '.example', 'https://portal.example/rest/', 'uninstalled', '{crm}', 'F'
       FROM generate_series(1001, 6000) n`,
    );
    await database.end();
    await signIn();
    await open('Portals');
    const portals = page.getByRole('region', { name: 'Portals' });
    await portals.getByText('1 to 50 of 5,001').waitFor();
    expect(await portals.getByRole('listitem').count()).toBe(50);
    await portals.getByRole('button', { name: 'Next' }).press('Enter');
    await portals.getByText('51 to 100 of 5,001').waitFor();
    await page.getByLabel('Filter').fill('member-2999');
    await portals.getByText('1 of 5,001', { exact: true }).waitFor();
    expect(await portals.getByRole('listitem').allInnerTexts()).toEqual([
      expect.stringMatching(/^2999\.example/),
    ]);
    expect(await portals.getByRole('button').count()).toBe(0);
    await page.getByLabel('State').selectOption('installed');
    await portals.getByText('No portal has that').waitFor();
    await page.getByLabel('Filter').fill('');
    await portals.getByText('1 of 5,001', { exact: true }).waitFor();
    await portals.getByText(portal.memberId).waitFor();
  });

  it('lets no script make markup of text', async () => {
    await page.evaluate(() => {
      try {
        document.body.innerHTML = '<img src="data:," onerror="document.title = 1">';
      } catch {
        document.title = 'rejected';
      }
    });
    expect(await page.title()).toBe('rejected');
    expect((await problemsOfClosed({ page, problems })).join()).toContain('TrustedHTML');
  });
});
