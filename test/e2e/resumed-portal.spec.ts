import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { hasBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { administrator, InstalledApplication } from '../support/installed-application.js';
import { askGateway, command, listedPortal } from '../support/operator.js';
import { startRelay, type BusKind, type Relay } from '../support/relay.js';
import { contactTypeId, type SimulatedPortal } from '../support/simulated-portal.js';

const status = z.object({
  consumers: z.array(z.looseObject({ consumer: z.string(), retrying: z.number() })),
});
const buses: BusKind[] = hasBroker ? ['RabbitMQ', 'PostgreSQL'] : ['PostgreSQL'];
/** Of the ten minutes that an event of such a portal waits. */
const soon = { timeoutMs: 15_000 };

async function addContact(portal: SimulatedPortal): Promise<number> {
  return (await portal.add(contactTypeId, { name: 'jOHN', secondName: '', lastName: "o'NEIL" })).id;
}

async function isCorrected(portal: SimulatedPortal, id: number): Promise<void> {
  expect(await portal.item(contactTypeId, id)).toMatchObject({ name: 'John', lastName: "O'Neil" });
}

/**
 * Real: gateway, name-formatter, command line, bus, database, with the times that a deployment has. Simulated: Bitrix24, a
 * portal that rejects every call, or has lost its pair.
 */
describe.each(buses)('a portal that works again, on %s', (bus) => {
  let relay: Relay;
  beforeAll(async () => {
    relay = await startRelay(bus, ['name-formatter']);
  }, 240_000);
  afterAll(() => relay?.stop(), 60_000);

  async function installed(name: string): Promise<SimulatedPortal> {
    const portal = await relay.portal(`resumed-${name}`);
    await portal.install(`${relay.gatewayUrl}/b24/install`);
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTADD');
    });
    return portal;
  }
  const stateIs = (portal: SimulatedPortal, state: string) =>
    eventually(async () => expect(await listedPortal(relay, portal.memberId)).toMatchObject({ state }), soon);
  const retrying = async (): Promise<number> => {
    const { consumers } = status.parse(await askGateway(relay, 'GET', '/consumers'));
    return consumers.find(({ consumer }) => consumer === 'name-formatter')?.retrying ?? 0;
  };
  const waiting = (count: number) => eventually(async () => expect(await retrying()).toBe(count));

  it('has what waited worked on at once when it is resumed, and says resuming until it has answered', async () => {
    const [portal, other] = [await installed('served'), await installed('other')];
    for (const each of [portal, other]) {
      await each.suspend('overload');
      await addContact(each);
      await stateIs(each, 'suspended');
    }
    const id = await addContact(portal);
    await waiting(3);

    await portal.suspend(null);
    await portal.set({ latencyMs: 30_000 });
    const { code, screen } = await command(relay, ['portals', 'resume', portal.memberId]);
    expect([code, screen]).toEqual([0, expect.stringContaining('resuming')]);
    expect(await listedPortal(relay, portal.memberId)).toMatchObject({ state: 'resuming' });
    await portal.set({ latencyMs: 0 });
    await stateIs(portal, 'installed');
    await eventually(() => isCorrected(portal, id), soon);
    // Nobody has resumed the other one.
    await stateIs(other, 'suspended');
    await waiting(1);
    await other.uninstall();
  });

  it('is suspended again when it still rejects, though nothing waits for it, and loses nothing', async () => {
    const portal = await installed('rejected');
    await portal.suspend('denied');
    const id = await addContact(portal);
    await stateIs(portal, 'suspended');
    const before = await listedPortal(relay, portal.memberId);
    await askGateway(relay, 'POST', `/portals/${portal.memberId}/resume`);
    await eventually(async () => {
      const { state, suspendedUntil } = await listedPortal(relay, portal.memberId);
      expect(state).toBe('suspended');
      expect(suspendedUntil).not.toEqual(before['suspendedUntil']);
    }, soon);
    await portal.suspend(null);
    await askGateway(relay, 'POST', `/portals/${portal.memberId}/resume`);
    await eventually(() => isCorrected(portal, id), soon);
    await stateIs(portal, 'installed');
    expect(await relay.metric('name-formatter', 'relay_bus_dead_total')).toBe(0);
  });

  it('has what waited worked on at once when it has authorized the application again', async () => {
    const portal = await installed('healed');
    const app = new InstalledApplication(relay, portal);
    const others = await retrying();
    await app.losePair();
    const id = await addContact(portal);
    await stateIs(portal, 'needs-reauth');
    await waiting(others + 1);
    await eventually(async () => expect((await app.openPage(administrator)).status).toBe(200));
    await stateIs(portal, 'installed');
    await eventually(() => isCorrected(portal, id), soon);
  });
});
