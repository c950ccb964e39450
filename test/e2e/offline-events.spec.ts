import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { hasBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { InstalledApplication, ordinaryUser } from '../support/installed-application.js';
import { command, listedPortal } from '../support/operator.js';
import { startRelay, type BusKind, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';
import { control } from '../support/simulator-control.js';

const contact = 3;
const changesPerPortal = 200;
const services = ['gateway', 'control-plane', 'name-formatter', 'offline-puller'];
const offlineQueue = z.object({
  handlers: z.array(z.object({ event: z.string() })),
  records: z.array(z.object({ processId: z.string() })),
});

const contacts = z.object({ items: z.array(z.looseObject({ id: z.number(), lastName: z.string() })) });

/** Real: all services, bus, PostgreSQL, command line. Simulated: Bitrix24. */
describe.each<BusKind>(hasBroker ? ['RabbitMQ', 'PostgreSQL'] : ['PostgreSQL'])('on %s', (bus) => {
  let relay: Relay;

  beforeAll(async () => {
    relay = await startRelay(bus, ['name-formatter', 'offline-puller'], { apart: [services] });
  }, 180_000);
  afterAll(() => relay?.stop(), 60_000);

  const simulatorUrl = () => `http://127.0.0.1:${relay.env['SIMULATOR_PORT']}`;
  const queueOf = async ({ name }: SimulatedPortal) =>
    offlineQueue.parse(await control('GET', `${simulatorUrl()}/_sim/portals/${name}/offline`));

  const correctedOf = async ({ name }: SimulatedPortal): Promise<number> => {
    const url = `${simulatorUrl()}/_sim/portals/${name}/items/${contact}?limit=${changesPerPortal}`;
    const { items } = contacts.parse(await control('GET', url));
    return items.filter(({ lastName }) => lastName === 'Shevchenko').length;
  };
  const changeAll = ({ name }: SimulatedPortal) =>
    control('POST', `${simulatorUrl()}/_sim/portals/${name}/mass-update`, {
      entityTypeId: contact,
      count: changesPerPortal,
      fields: { name: 'oLENA', lastName: 'SHEVCHENKO' },
    });

  async function isDelivering(portal: SimulatedPortal, mode: string): Promise<void> {
    const recorded = mode === 'online' ? [] : ['ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE'];
    await eventually(async () => {
      expect((await queueOf(portal)).handlers.map(({ event }) => event).toSorted()).toEqual(recorded);
      const online = await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`);
      expect(online.includes('ONOFFLINEEVENT')).toBe(mode === 'both');
    });
  }

  /** Installed, its contacts written as they should be, and its delivery mode in force. */
  async function portalWith(
    name: string,
    { mode, plan, connector = 'N' }: { mode: string; plan: string; connector?: string },
  ): Promise<SimulatedPortal> {
    const portal = await relay.portal(name, { rate: 50, burst: 250 });
    await control('PATCH', `${simulatorUrl()}/_sim/portals/${name}`, {
      features: { rest_offline_extended: plan, rest_auth_connector: connector },
    });
    await control('POST', `${simulatorUrl()}/_sim/portals/${name}/items/${contact}`, {
      fields: { name: 'Anna', lastName: 'Koval' },
      count: changesPerPortal,
      silent: true,
    });
    await portal.install(`${relay.gatewayUrl}/b24/install`);
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTUPDATE');
    });
    await isDelivering(portal, 'both');
    if (mode !== 'both') await command(relay, ['portals', 'mode', portal.memberId, mode]);
    await isDelivering(portal, mode);
    return portal;
  }

  it('what changes while everything is down is handled in mode both, with each plan, and gone in mode online', async () => {
    const kinds = ['Y', 'ua_selfhosted', 'Y', 'N', 'N'].flatMap((plan) => [
      { plan, connector: 'N' },
      { plan, connector: 'Y' },
    ]);
    const both = await Promise.all(
      kinds.map((kind, at) => portalWith(`both${at}`, { mode: 'both', ...kind })),
    );
    const online = await portalWith('online', { mode: 'online', plan: 'Y' });
    const all = [...both, online];

    await Promise.all(services.map((app) => relay.kill(app)));
    await Promise.all(all.map((portal) => portal.clearStatistics()));
    await Promise.all(all.map(changeAll));
    await eventually(async () => {
      for (const portal of all) expect((await portal.statistics()).events.pending).toBe(0);
    });
    await Promise.all(services.map((app) => relay.start(app)));

    await eventually(
      async () => {
        for (const portal of both) {
          expect([portal.name, await correctedOf(portal)]).toEqual([portal.name, changesPerPortal]);
        }
      },
      { timeoutMs: 120_000, everyMs: 500 },
    );
    expect(await correctedOf(online)).toBe(0);
    await eventually(
      async () => {
        for (const portal of both) {
          const reserved = (await queueOf(portal)).records.filter(({ processId }) => processId !== '');
          expect([portal.name, reserved]).toEqual([portal.name, []]);
        }
      },
      { timeoutMs: 60_000, everyMs: 500 },
    );
    for (const portal of both) {
      const { calls, requests } = await portal.statistics();
      expect([portal.name, calls['crm.item.update']]).toEqual([portal.name, changesPerPortal]);
      // The least: the records, twice or three times; four reads in one; four times fifty writes; and the echo of these.
      expect(requests).toBeLessThan(30);
    }
    expect(await relay.metric('offline-puller', 'relay_offline_records_total')).toBeGreaterThanOrEqual(
      both.length * changesPerPortal,
    );
  }, 300_000);

  it('mode offline needs nobody who reaches the gateway: nothing is bound online, and changes are handled', async () => {
    const portal = await portalWith('behind-nat', { mode: 'offline', plan: 'Y' });
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toEqual([]);
    });
    await changeAll(portal);
    await eventually(async () => expect(await correctedOf(portal)).toBe(changesPerPortal), {
      timeoutMs: 60_000,
    });
    expect((await command(relay, ['portals'])).screen).toMatch(
      /behind-nat\.\S+ +delivery offline: 2 events bound/,
    );
    expect((await command(relay, ['portals', 'mode', portal.memberId, 'online'])).code).toBe(0);
    await eventually(async () => {
      expect((await queueOf(portal)).handlers).toEqual([]);
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTUPDATE');
    });
  }, 120_000);

  it('without an administrator a portal stays online, and the operator reads who must act', async () => {
    const portal = await relay.portal('not-admin');
    const app = new InstalledApplication(relay, portal);
    await control('POST', `${simulatorUrl()}/_sim/portals/not-admin/install`, {
      url: app.installUrl,
      userId: ordinaryUser,
    });
    await eventually(async () => {
      expect(await portal.eventsBoundTo(app.eventsUrl)).toContain('ONCRMCONTACTUPDATE');
    });
    await eventually(async () => {
      expect(await listedPortal(relay, portal.memberId)).toMatchObject({
        delivery: { mode: 'both', bound: 0, note: expect.stringContaining('administrator') },
      });
    });
    expect((await queueOf(portal)).handlers).toEqual([]);
    expect((await command(relay, ['portals', 'mode', portal.memberId, 'sometimes'])).screen).toContain(
      'online, offline or both',
    );
  }, 60_000);
});
