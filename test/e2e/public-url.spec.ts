import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CuttableLink } from '../support/cuttable-link.js';
import { eventually } from '../support/eventually.js';
import { startRelay, type Relay } from '../support/relay.js';
import { contactTypeId, type SimulatedPortal } from '../support/simulated-portal.js';

const events = ['ONAPPTEST', 'ONAPPUNINSTALL', 'ONAPPUPDATE', 'ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE'];

/** Real: gateway, name-formatter, PostgreSQL with the bus in it. Simulated: Bitrix24. */
describe('a gateway that is started with another PUBLIC_URL', () => {
  let relay: Relay;
  let portal: SimulatedPortal;
  /** What the application has bound by other means. */
  let another: string;
  const links: CuttableLink[] = [];

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', ['name-formatter']);
    portal = await relay.portal('acme');
    const installed = await portal.install();
    another = `${relay.gatewayUrl}/another/handler`;
    // Before the gateway hears of the install: its proof uses this token up.
    await postForm(new URL('/portals/acme/rest/event.bind', portal.webhookUrl), {
      event: 'ONCRMCONTACTADD',
      handler: another,
      auth: installed.access_token,
    });
    await postForm(`${relay.gatewayUrl}/b24/install`, {
      event: 'ONAPPINSTALL',
      'data[VERSION]': '1',
      'data[LANGUAGE_ID]': 'en',
      ts: '1724697689',
      'auth[access_token]': installed.access_token,
      'auth[refresh_token]': installed.refresh_token,
      'auth[expires_in]': '3600',
      'auth[domain]': portal.domain,
      'auth[member_id]': portal.memberId,
      'auth[application_token]': installed.application_token,
    });
    await isBoundTo(relay.gatewayUrl);
  }, 240_000);
  afterAll(async () => {
    await relay?.stop();
    for (const link of links) await link.cut();
  }, 120_000);

  async function isBoundTo(publicUrl: string): Promise<void> {
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${publicUrl}/b24/events`)).toEqual(events);
    });
  }

  /** One more way to the gateway. */
  async function newAddress(): Promise<string> {
    const link = await CuttableLink.to(Number(new URL(relay.gatewayUrl).port));
    links.push(link);
    return link.url;
  }

  async function restartAt(publicUrl: string): Promise<void> {
    await relay.restart({ PUBLIC_URL: publicUrl });
  }

  it('has every event sent there, and none to where it was before', async () => {
    const publicUrl = await newAddress();
    await restartAt(publicUrl);
    await isBoundTo(publicUrl);
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toEqual([]);
    });

    const { id } = await portal.add(contactTypeId, { name: 'jOHN', lastName: "o'NEIL" });
    await eventually(async () => {
      expect(await portal.item(contactTypeId, id)).toMatchObject({ name: 'John', lastName: "O'Neil" });
    });
  });

  it('leaves alone what it did not bind', async () => {
    const publicUrl = await newAddress();
    await restartAt(publicUrl);
    await isBoundTo(publicUrl);
    expect(await portal.eventsBoundTo(another)).toEqual(['ONCRMCONTACTADD']);
  });

  it('is bound at the new address even where the old one cannot be unbound, and says so', async () => {
    // More than one: the process of before may still be unbinding, and end without a word.
    await portal.orderFault('event.unbind', 'denied', { times: 100 });
    const publicUrl = await newAddress();
    await restartAt(publicUrl);
    await isBoundTo(publicUrl);
    await eventually(() => {
      expect(relay.log()).toContain('handlers at a previous address could not be unbound');
    });
    await portal.clearFaults();
  });
});

async function postForm(url: string | URL, fields: Record<string, string>): Promise<void> {
  const { status } = await fetch(url, { method: 'POST', body: new URLSearchParams(fields) });
  expect(status).toBe(200);
}
