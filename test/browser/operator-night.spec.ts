import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { z } from 'zod';
import { eventually } from '../support/eventually.js';
import { askGateway } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import { contactTypeId, type SimulatedPortal } from '../support/simulated-portal.js';
import { seriousFindings } from './accessibility.js';
import { eventOf, postForm } from '../support/installed-application.js';
import { startChromium } from './chromium.mjs';
import { keepPicture } from './keep-picture.js';
import { problemsOfClosed, type WatchedPage, watchPage } from './watched-page.js';

const counted = z.object({ matching: z.number() });
const contactsCount = 3;

async function openCause(at: Page): Promise<Locator> {
  await at.getByRole('link', { name: 'Dead letters', exact: true }).click();
  await at.getByRole('link', { name: /ACCESS_DENIED/ }).click();
  await at.getByRole('button', { name: `Replay ${contactsCount}` }).waitFor();
  return at.getByRole('group', { name: 'Replay or drop' }).first();
}

/** Real: Chromium, gateway, name-formatter, PostgreSQL. Simulated: Bitrix24, which rejects for a while. */
describe('an operator at night', () => {
  let relay: Relay;
  let portal: SimulatedPortal;
  let domain: string;
  let applicationToken: string;
  let browser: Browser;
  let page: Page;
  let problems: string[];

  beforeAll(async () => {
    [browser, relay] = await Promise.all([startChromium(), startRelay('PostgreSQL', ['name-formatter'])]);
    portal = await relay.portal('acme');
    domain = `acme.${new URL(relay.outside.url).host}`;
    applicationToken = (await portal.install(`${relay.gatewayUrl}/b24/install`)).application_token;
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTADD');
    });
    await letDie(2 * contactsCount);
  }, 240_000);
  afterAll(async () => {
    await browser?.close();
    await relay?.stop();
  }, 120_000);

  beforeEach(async () => {
    ({ page, problems } = await signedIn());
  });
  afterEach(async () => {
    await page.close();
    expect(problems).toEqual([]);
  });

  /** So many new contacts; their corrections are rejected so often. */
  async function letDie(rejections: number): Promise<void> {
    await portal.orderFault('crm.item.update', 'denied', { times: rejections });
    for (let made = 0; made < contactsCount; made += 1)
      await portal.add(contactTypeId, { name: 'aDA', lastName: `lOVELACE ${made}` });
    await eventually(async () => {
      const { matching } = counted.parse(await askGateway(relay, 'GET', '/dead-letters'));
      expect(matching).toBe(contactsCount);
    });
  }

  async function signedIn(options: BrowserContextOptions = {}): Promise<WatchedPage> {
    const url = `http://127.0.0.1:${relay.opsPort('control-plane')}/ops`;
    const watched = await watchPage(browser, url, options);
    await watched.page.goto(url);
    await watched.page.getByLabel('OPS_TOKEN').fill(relay.env['OPS_TOKEN'] ?? '');
    await watched.page.getByRole('button', { name: 'Sign in' }).click();
    return watched;
  }

  it('sees what needs attention first, in the tab too, and finds the cause', async () => {
    const attention = page.getByRole('region', { name: 'Needs attention' });
    const deadLetters = attention.getByRole('link', {
      name: `${contactsCount} dead letters of name-formatter`,
    });
    await deadLetters.waitFor();
    await keepPicture(page, 'operator-attention');
    await deadLetters.click();
    expect(await page.title()).toBe('1 needs attention · b24-relay');
    const cause = page.getByRole('link', { name: /ACCESS_DENIED/ });
    expect(await cause.innerText()).toContain(domain);
    await keepPicture(page, 'operator-causes');
    await cause.press('Enter');
    await page.getByRole('heading', { name: 'ACCESS_DENIED' }).waitFor();
    await page
      .getByRole('button', { name: /^Event CRMCONTACT:/ })
      .first()
      .press('Enter');
    await eventually(async () => {
      const event: unknown = JSON.parse(await page.getByLabel('The event as it came').innerText());
      expect(event).toMatchObject({ memberId: portal.memberId, name: 'ONCRMCONTACTADD' });
    });
    await keepPicture(page, 'operator-cause');
    expect(await seriousFindings(page)).toEqual([]);
  });

  it('is told that a replay was in vain, and that the next one was not', async () => {
    const outcome = await openCause(page);
    await page.getByRole('button', { name: `Replay ${contactsCount}` }).press('Enter');
    await page.getByRole('button', { name: 'Replay now' }).press('Enter');
    await outcome.getByText(`All ${contactsCount} died again: the cause is still there.`).waitFor();
    await page.getByText(`the oldest ${contactsCount} of ${contactsCount}`, { exact: true }).waitFor();
    await keepPicture(page, 'operator-replayed-in-vain');

    await portal.clearFaults();
    await page.getByRole('button', { name: `Replay ${contactsCount}` }).press('Enter');
    await page.getByRole('button', { name: 'Replay now' }).press('Enter');
    await outcome.getByText(`${contactsCount} worked off, none died again.`).waitFor();
    await page.getByText('None of them is left.').waitFor();
    await keepPicture(page, 'operator-replayed');
    expect(await portal.item(contactTypeId, 1)).toMatchObject({ name: 'Ada' });
    await page.getByRole('link', { name: 'Overview' }).click();
    await page.getByText('Nothing. All that can be seen from here is well.').waitFor();
    await keepPicture(page, 'operator-all-well');
    expect(await page.title()).toBe('Overview · b24-relay');
  });

  it('finds out in two clicks whether an event has arrived, and sends it again', async () => {
    const full = eventOf(portal, 'ONCRMCONTACTUPDATE', applicationToken);
    full.set('data[FIELDS][ID]', '1');
    full.set('data[FIELDS][TITLE]', 'a secret name');
    expect((await postForm(`${relay.gatewayUrl}/b24/events`, full)).status).toBe(200);
    await page.getByRole('link', { name: 'Events', exact: true }).click();
    const events = page.getByRole('region', { name: 'Events' });
    const line = (name: string): Locator =>
      events
        .getByRole('list', { name: `What became of ${name}` })
        .first()
        .locator('xpath=..');
    await line('ONCRMCONTACTUPDATE CRMCONTACT:1').getByText('done').waitFor();
    await line('ONCRMCONTACTUPDATE CRMCONTACT:1').getByRole('link', { name: domain }).waitFor();
    await line('ONCRMCONTACTUPDATE CRMCONTACT:1').getByText('Not sent again').click();
    await line('ONCRMCONTACTUPDATE CRMCONTACT:1')
      .getByText(/It carried more than the id of its thing/)
      .waitFor();
    expect(await page.content()).not.toContain('a secret name');
    await keepPicture(page, 'operator-events');

    await page.getByLabel('Event', { exact: true }).fill('oncrmcontactadd');
    await page.getByLabel('Thing').fill('CRMCONTACT:2');
    await events.getByText('CRMCONTACT:1', { exact: true }).first().waitFor({ state: 'detached' });
    const again = page.getByRole('button', { name: 'Send again ONCRMCONTACTADD CRMCONTACT:2' });
    expect(await again.count()).toBe(1);
    await again.press('Enter');
    await page.getByRole('button', { name: 'Send again now? ONCRMCONTACTADD CRMCONTACT:2' }).press('Enter');
    await line('ONCRMCONTACTADD CRMCONTACT:2').getByText('sent again by an operator').waitFor();
    await line('ONCRMCONTACTADD CRMCONTACT:2').getByText('done').waitFor();
    await page.getByLabel('Outcome').selectOption('dead');
    await page.getByText('No such event is in the log.').waitFor();
    await page.getByRole('searchbox', { name: 'Portal' }).fill('acm');
    await page.getByRole('button', { name: 'Find' }).press('Enter');
    await page.getByRole('button', { name: `${domain} : show all portals` }).waitFor();
    await page.getByLabel('Outcome').selectOption('');
    await events.getByText('CRMCONTACT:2', { exact: true }).first().waitFor();
    expect(await seriousFindings(page)).toEqual([]);
  });

  it('sees the last events of a portal on its page, and comes from there to all of them', async () => {
    await page.getByRole('link', { name: 'Portals', exact: true }).click();
    await page.getByRole('region', { name: 'Portals' }).getByRole('link', { name: domain }).click();
    const last = page.getByRole('region', { name: 'Last events' });
    await last.getByText('name-formatter').first().waitFor();
    await keepPicture(page, 'operator-portal');
    await last.getByRole('link', { name: 'All of its events' }).press('Enter');
    await page.getByRole('button', { name: `${domain} : show all portals` }).waitFor();
    const events = page.getByRole('region', { name: 'Events' });
    await events.getByText('CRMCONTACT:1', { exact: true }).first().waitFor();
    // Its added contacts, and those that name-formatter wrote.
    expect(await events.getByText(/^ONCRMCONTACT/).count()).toBeGreaterThan(contactsCount);
  });

  it('shares the letters with another operator who replays them at the same moment', async () => {
    await letDie(contactsCount);
    const other = await signedIn();
    try {
      const sides = [page, other.page];
      const outcomes = await Promise.all(sides.map(openCause));
      for (const side of sides) await side.getByRole('button', { name: `Replay ${contactsCount}` }).click();
      await Promise.all(sides.map((side) => side.getByRole('button', { name: 'Replay now' }).click()));
      const taken = await Promise.all(
        outcomes.map(async (outcome) => {
          const text = await outcome.getByText(/\d+ replayed\./).innerText();
          const count = Number.parseInt(text, 10);
          if (count < contactsCount) await outcome.getByText(/no longer there: somebody else/).waitFor();
          return count;
        }),
      );
      expect(taken.reduce((sum, count) => sum + count, 0)).toBe(contactsCount);
      expect(other.problems).toEqual([]);
    } finally {
      await other.page.close();
    }
  });

  it('drops a selection for good, after a question', async () => {
    await letDie(contactsCount);
    const outcome = await openCause(page);
    await page
      .getByRole('button', { name: /^Event CRMCONTACT:/ })
      .first()
      .press('Enter');
    const one = page.getByRole('group', { name: 'Replay or drop' }).nth(1);
    await one.getByRole('button', { name: 'Drop 1' }).press('Enter');
    await one.getByText(/1 event will be deleted for good/).waitFor();
    await one.getByRole('button', { name: 'Cancel' }).press('Enter');
    await one.getByRole('button', { name: 'Drop 1' }).press('Enter');
    await one.getByRole('button', { name: 'Drop for good' }).press('Enter');
    await one.getByText('1 dropped.').waitFor();
    await outcome.getByRole('button', { name: `Drop ${contactsCount - 1}` }).press('Enter');
    await outcome.getByRole('button', { name: 'Drop for good' }).press('Enter');
    await outcome.getByText(`${contactsCount - 1} dropped.`).waitFor();
    await page.getByText('None of them is left.').waitFor();
    expect(counted.parse(await askGateway(relay, 'GET', '/dead-letters')).matching).toBe(0);
  });

  it('reads it on a phone, in the dark, and is told why there is nothing without scripts', async () => {
    const url = page.url();
    const phone = await signedIn({ viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
    try {
      for (const view of ['Overview', 'Dead letters', 'Events', 'Portals', 'Consumers', 'Mirror']) {
        await phone.page
          .getByRole('navigation', { name: 'Views' })
          .getByRole('link', { name: view, exact: true })
          .press('Enter');
        await phone.page.getByRole('heading', { level: 1, name: view }).waitFor();
        await phone.page.getByRole('region').first().waitFor();
        if (view === 'Consumers')
          await phone.page.getByRole('img', { name: /^Backlog of name-formatter/ }).waitFor();
        const width = await phone.page.evaluate(() => document.documentElement.scrollWidth);
        expect({ view, width }).toEqual({ view, width: 390 });
        await keepPicture(phone.page, `operator-phone-${view.toLowerCase().replaceAll(' ', '-')}`);
        expect(await seriousFindings(phone.page)).toEqual([]);
      }
      expect(phone.problems).toEqual([]);
    } finally {
      await phone.page.close();
    }
    const plain = await watchPage(browser, url, { javaScriptEnabled: false });
    await plain.page.goto(url);
    await plain.page.getByText(/This page needs JavaScript/).waitFor();
    await plain.page.close();
  });

  it('is told that the control plane is away, and goes on when it is back', async () => {
    await page.getByRole('link', { name: 'Consumers', exact: true }).click();
    const consumers = page.getByRole('region', { name: 'Consumers' });
    await consumers.getByRole('rowheader', { name: /name-formatter/ }).waitFor();
    await page.getByRole('img', { name: /^Backlog of name-formatter/ }).waitFor();
    await keepPicture(page, 'operator-consumers');
    const OPS_PORT = relay.opsPort('control-plane');
    await relay.end('control-plane');
    await page.getByText('the control plane does not answer', { exact: true }).waitFor();
    await consumers.getByText(/^What you see is of \d/).waitFor();
    await keepPicture(page, 'operator-control-plane-away');
    await consumers.getByRole('rowheader', { name: /name-formatter/ }).waitFor();
    await relay.start('control-plane', { OPS_PORT });
    await page.getByText('live', { exact: true }).waitFor();
    await consumers.getByText(/^What you see is of/).waitFor({ state: 'hidden' });
    // The browser's words depend on where in an answer the connection ended.
    for (const problem of await problemsOfClosed({ page, problems }))
      expect(problem).toMatch(/net::ERR_|status of 503/);
  });
});
