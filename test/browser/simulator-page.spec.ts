import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Browser, Locator, Page } from 'playwright-core';
import { eventually } from '../support/eventually.js';
import { startRelay, type Relay } from '../support/relay.js';
import { contactTypeId, dealTypeId, type SimulatedPortal } from '../support/simulated-portal.js';
import { startChromium } from './chromium.mjs';
import { openPage, type WatchedPage } from './watched-page.js';

const deliveries = 147;

/** Real: Chromium, every app as built, PostgreSQL. Simulated: Bitrix24, by what is tested here. */
describe("the simulator's page", () => {
  let relay: Relay;
  let portal: SimulatedPortal;
  let browser: Browser;
  let url: string;
  let opened: WatchedPage;
  let page: Page;

  beforeAll(async () => {
    [browser, relay] = await Promise.all([startChromium(), startRelay('PostgreSQL', ['name-formatter'])]);
    url = `http://127.0.0.1:${relay.env['SIMULATOR_PORT']}/`;
    portal = await relay.portal('acme', { types: [{ entityTypeId: deliveries, title: 'Deliveries' }] });
    await portal.install(`${relay.gatewayUrl}/b24/install`);
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTUPDATE');
    });
  }, 240_000);
  afterAll(async () => {
    await browser?.close();
    await relay?.stop();
  }, 120_000);

  beforeEach(async () => {
    opened = await openPage(browser, `${url}#acme`);
    ({ page } = opened);
  });
  afterEach(async () => {
    await page.close();
    expect(opened.problems).toEqual([]);
  });

  function rowOf(id: number): Locator {
    return page.getByRole('row').filter({ has: page.getByLabel(`Last name of ${id}`, { exact: true }) });
  }

  async function valueOf(label: string): Promise<string> {
    return page.getByLabel(label, { exact: true }).inputValue();
  }

  it('shows how a name that was edited in it corrects itself', async () => {
    const { id } = await portal.add(contactTypeId, { name: 'Ada', secondName: '', lastName: 'Lovelace' });
    const lastName = page.getByLabel(`Last name of ${id}`, { exact: true });
    await lastName.fill("o'NEIL-lovelace");
    await lastName.press('Enter');
    await eventually(async () => expect(await valueOf(`Last name of ${id}`)).toBe("O'Neil-Lovelace"));
    expect(await rowOf(id).innerText()).toMatch(
      /b24-relay[^]*Ada o'NEIL-lovelace\s*→\s*Ada O'Neil-Lovelace\s*[\d,]+ m?s/,
    );
    expect(await portal.item(contactTypeId, id)).toMatchObject({ name: 'Ada', lastName: "O'Neil-Lovelace" });
  });

  it('adds a contact by its form and by one click on an example, with the keyboard alone', async () => {
    await page.getByLabel('Name', { exact: true }).focus();
    for (const text of ['gRACE', '', 'mcDONALD']) {
      await page.keyboard.type(text);
      await page.keyboard.press('Tab');
    }
    await page.keyboard.press('Enter');
    await page.getByText('Grace McDonald', { exact: true }).waitFor();
    await page.getByRole('button', { name: "jOHN o'NEIL" }).press('Enter');
    await page.getByText("John O'Neil", { exact: true }).waitFor();
    const [newest, next] = await page.getByLabel(/^Name of/).all();
    expect([await newest?.inputValue(), await next?.inputValue()]).toEqual(['John', 'Grace']);
  });

  it('saves what was typed when the row is left, and takes it back on Escape', async () => {
    const { id } = await portal.add(contactTypeId, { name: 'Alan', secondName: '', lastName: 'Turing' });
    const name = page.getByLabel(`Name of ${id}`, { exact: true });
    await name.fill('nonsense');
    await name.press('Escape');
    expect(await name.inputValue()).toBe('Alan');
    await name.fill('alan mATHISON');
    await name.blur();
    await eventually(async () => {
      expect(await portal.item(contactTypeId, id)).toMatchObject({ name: 'Alan Mathison' });
    });
  });

  it('changes the title of a smart process item', async () => {
    const { id } = await portal.add(deliveries, { title: 'Desk lamps' });
    const title = page.getByLabel(`Title of ${id}`, { exact: true });
    await title.fill('Desk lamps, 40 pieces');
    await title.press('Enter');
    await eventually(async () => {
      expect(await portal.item(deliveries, id)).toMatchObject({ title: 'Desk lamps, 40 pieces' });
    });
  });

  it('adds a deal, and saves what is edited of it', async () => {
    const deals = page.getByRole('region', { name: 'Deals' });
    await page.getByRole('button', { name: 'Add a deal' }).click();
    const title = deals.getByLabel('Deal title of 1', { exact: true });
    expect(await title.inputValue()).toBe(' Twelve  desk lamps');
    await deals.getByLabel('Stage of 1', { exact: true }).fill('WON');
    await title.press('Enter');
    await eventually(async () => {
      expect(await portal.item(dealTypeId, 1)).toMatchObject({ stageId: 'WON', closed: 'Y' });
    });
  });

  it('shows markup in a name as the text that it is', async () => {
    const { id } = await portal.add(contactTypeId, { name: '<img src=x>', secondName: '', lastName: '<B>x' });
    await rowOf(id).getByText('b24-relay').waitFor();
    expect(await valueOf(`Name of ${id}`)).toMatch(/^<img src=x>$/i);
    expect(await page.locator('#contacts img').count()).toBe(0);
  });

  it('says that the application is not installed, and installs it', async () => {
    await page.getByLabel('Portal').selectOption('demo');
    await page.getByText('b24-relay is not installed in demo').waitFor();
    await page.getByLabel("The gateway's install address").fill(`${relay.gatewayUrl}/b24/install`);
    await page.getByRole('button', { name: 'Install', exact: true }).click();
    await page.getByRole('region', { name: 'The application' }).waitFor({ state: 'hidden' });
    const name = page.getByLabel(/^Name of \d+$/).last();
    expect(await name.inputValue()).toBe('anna-maria');
    await name.press('Enter');
    await eventually(async () => expect(await name.inputValue()).toBe('Anna-Maria'));
  });

  it('lists for developers what is bound and queued, gives and takes rights, and uninstalls', async () => {
    const built = await relay.portal('built');
    await page.getByLabel('Portal').selectOption('built');
    const section = page.getByRole('region', { name: 'Developer resources' });
    await section.getByText('Not installed.').waitFor();
    const token = (await built.install()).access_token;
    await built.bindHandler('ONCRMDEALADD', 'https://elsewhere.example/<b>');
    await built.bindHandler('ONCRMDEALADD');
    await section.getByRole('row', { name: 'ONCRMDEALADD online https://elsewhere.example/<b>' }).waitFor();
    await section.getByRole('row', { name: 'ONCRMDEALADD offline queue' }).waitFor();
    await built.add(dealTypeId, { title: 'Desk lamps' });
    await section.getByText('1 record in the offline queue.').waitFor();
    await section.getByText('/portals/built/rest/1/built/').waitFor();

    const isAdministrator = async (): Promise<unknown> => {
      const answer = await fetch(`${url}portals/built/rest/user.admin?auth=${token}`);
      return Object(await answer.json()).result;
    };
    const right = section.getByLabel('administrator', { exact: true });
    await right.uncheck();
    await eventually(async () => expect(await isAdministrator()).toBe(false));
    await right.check();
    await eventually(async () => expect(await isAdministrator()).toBe(true));
    await section.getByRole('button', { name: 'Uninstall' }).click();
    await section.getByText('Not installed.').waitFor();
    await section.getByText('None.').waitFor();
  });

  it('goes on with another portal when the one it shows is removed', async () => {
    await relay.portal('short-lived');
    await page.getByLabel('Portal').selectOption('short-lived');
    await page.getByText('b24-relay is not installed in short-lived').waitFor();
    await fetch(`${url}_sim/portals/short-lived`, { method: 'DELETE' });
    await eventually(async () => {
      expect(await page.locator('#portal-name').textContent()).toBe('demo');
    });
  });

  it('counts requests, events and answers', async () => {
    const { events, requests } = await portal.statistics();
    await eventually(async () => {
      const numbers = await page.locator('#numbers').innerText();
      expect(numbers).toMatch(
        new RegExp(`Requests used\\s*${requests}\\s[^]*Events sent\\s*${events.sent}\\s`),
      );
      expect(numbers).toContain(`${events.answers['200']} × 200`);
    });
  });

  /** In the room of the table, as those of a simulator that was started again are. */
  it.each([1280, 360])('has room for long ids, %d px', async (width) => {
    await portal.add(contactTypeId, { name: 'Ada', lastName: 'Lovelace' });
    const wide = await openPage(browser, `${url}#acme`, { viewport: { width, height: 740 } });
    const id = wide.page.getByRole('region', { name: 'Contacts' }).locator('td.id').first();
    await id.evaluate((cell) => (cell.textContent = '1000000000'));
    const overflows = await id.evaluate(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth);
    await wide.page.close();
    expect(overflows).toBe(false);
  });

  it('fits a phone, in the dark', async () => {
    const options = { viewport: { width: 360, height: 740 }, colorScheme: 'dark' } as const;
    const phone = await openPage(browser, `${url}#acme`, options);
    const width = await phone.page.evaluate(() => document.documentElement.scrollWidth);
    const background = await phone.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await phone.page.close();
    expect(width).toBe(360);
    expect(background).toBe('rgb(18, 22, 24)');
    expect(phone.problems).toEqual([]);
  });

  it('does not keep the simulator from ending', async () => {
    expect(await relay.endAll()).toEqual({
      'name-formatter': 0,
      'control-plane': 0,
      gateway: 0,
      'portal-simulator': 0,
    });
    await page.getByText('reconnecting').waitFor();
    // Nobody answers now, and the browser says so.
    opened.problems = opened.problems.filter((text) => !text.includes('ERR_CONNECTION_REFUSED'));
  });
});
