import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { eventually } from '../support/eventually.js';
import { eventOf, InstalledApplication, postForm } from '../support/installed-application.js';
import { addWebhookPair, listedPortal, testEventComes } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

/**
 * A portal's domain names its views, and is what an operator reads. Real: gateway, PostgreSQL. Simulated: Bitrix24, all of
 * whose portals have one host: the label before it is the part of the proved address that tells them apart.
 */
describe('the domain of a portal', () => {
  let relay: Relay;
  let database: pg.Client;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', []);
    database = new pg.Client({ connectionString: relay.env['DATABASE_URL'] });
    await database.connect();
  }, 60_000);
  afterAll(async () => {
    await database?.end();
    await relay?.stop();
  }, 30_000);

  const proved = ({ name }: SimulatedPortal): string => `${name}.${new URL(relay.outside.url).host}`;

  async function domainOf({ memberId }: SimulatedPortal): Promise<string> {
    return (await listedPortal(relay, memberId)).domain;
  }

  it.each(['callback', 'ONAPPINSTALL'])(
    'is that of the confirmed address, whatever the %s says',
    async (form) => {
      const portal = await relay.portal(`liar-${form.toLowerCase()}`);
      const { application_token, access_token, refresh_token } = await portal.install();
      const claim = eventOf(portal, 'ONAPPINSTALL', application_token, {
        access_token,
        refresh_token,
        domain: 'acme.bitrix24.com',
      });
      if (form === 'callback') for (const name of ['event', 'ts', 'data[FIELDS][ID]']) claim.delete(name);
      expect((await postForm(`${relay.gatewayUrl}/b24/install`, claim)).status).toBe(200);
      expect(await domainOf(portal)).toBe(proved(portal));
    },
  );

  it('is that of the confirmed address, whatever the address of the page says', async () => {
    const portal = await relay.portal('liar-page');
    const app = new InstalledApplication(relay, portal);
    await app.install('page');
    const { query, form } = await app.opening();
    const lie = query.replace(/DOMAIN=[^&]*/, 'DOMAIN=acme.bitrix24.com');
    expect(lie).toContain('acme');
    expect((await postForm(`${app.installUrl}?${lie}`, form)).status).toBe(200);
    expect(await domainOf(portal)).toBe(proved(portal));
  });

  it.each([
    ['escape sequences', '\u001b[2J\u001b]0;owned\u0007.example'],
    ['lines', 'acme\nm1  installed  oauth  other.example'],
    ['a NUL', 'acme\0.example'],
    ['200 KB', 'a'.repeat(200_000)],
    ['nothing', ''],
  ])('is that of the pair of webhooks, where the event brings %s', async (_what, domain) => {
    const portal = await relay.portal(`pair-${randomBytes(4).toString('hex')}`);
    const applicationToken = randomBytes(16).toString('hex');
    await addWebhookPair(relay, { webhookUrl: portal.webhookUrl, applicationToken });
    const event = eventOf(portal, 'ONCRMCONTACTUPDATE', applicationToken, { domain });
    await eventually(async () => {
      const { status } = await postForm(`${relay.gatewayUrl}/b24/events`, event);
      // Some of these are no form at all; then the next event, which is one, makes the portal.
      if (status === 400) event.set('auth[domain]', 'other.example');
      expect(status).toBe(200);
    });
    expect(await domainOf(portal)).toBe(`${portal.name}.${new URL(portal.webhookUrl).host}`);
  });

  it('that a form once gave is put right by the next proof', async () => {
    const portal = await relay.portal('healed');
    await portal.install(`${relay.gatewayUrl}/b24/install`);
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONAPPTEST');
    });
    await database.query(
      `UPDATE portals.portals SET domain = E'acme.bitrix24.com\\x1b[2J' WHERE member_id = $1`,
      [portal.memberId],
    );
    await portal.expireTokens();
    expect(await testEventComes(relay, portal.memberId)).toBe(true);
    expect(await domainOf(portal)).toBe(proved(portal));
  });
});
