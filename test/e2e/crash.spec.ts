import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomInt } from 'node:crypto';
import { hasBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { startRelay, type BusKind, type Relay } from '../support/relay.js';
import {
  contactTypeId,
  type PortalSettings,
  type SimulatedPortal,
  type Statistics,
} from '../support/simulated-portal.js';

/** Real: every app as built, gateway and consumer each a process, ended by SIGKILL; PostgreSQL, RabbitMQ. Simulated: Bitrix24. */
describe.each<BusKind>(hasBroker ? ['RabbitMQ', 'PostgreSQL'] : ['PostgreSQL'])('kill -9 on %s', (bus) => {
  let relay: Relay;

  beforeAll(async () => {
    relay = await startRelay(bus, ['name-formatter'], { apart: [['gateway'], ['name-formatter']] });
  }, 240_000);
  afterAll(() => relay?.stop(), 120_000);

  /** Its rate limit holds nothing up: that one is another test's. */
  async function installed(name: string, settings: PortalSettings = {}): Promise<SimulatedPortal> {
    const portal = await relay.portal(name, { rate: 1_000, burst: 10_000, ...settings });
    await portal.install(`${relay.gatewayUrl}/b24/install`);
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toEqual(
        expect.arrayContaining(['ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE']),
      );
    });
    return portal;
  }

  it('of name-formatter, again and again in the middle of its work, leaves no name as it was', async () => {
    const portal = await installed('consumer', { latencyMs: 10 });
    const added: number[] = [];
    const lastKill = new AbortController();
    const addOnAndOn = async (): Promise<void> => {
      // More than fills a request, so that some are postponed when the first kill comes.
      added.push(...(await addContacts(portal, 240)));
      while (!lastKill.signal.aborted) {
        added.push(...(await addContacts(portal, 10)));
        await eventually(async () => expect((await portal.statistics()).events.pending).toBe(0), {
          everyMs: 100,
        });
      }
    };
    const killAndStart = async (): Promise<void> => {
      for (let kills = 0; kills < 4; kills += 1) {
        const { requests } = await portal.statistics();
        const moment = requests + randomInt(1, 8);
        await eventually(
          async () => expect((await portal.statistics()).requests).toBeGreaterThanOrEqual(moment),
          { everyMs: randomInt(1, 25) },
        );
        await relay.kill('name-formatter');
        await relay.start('name-formatter');
      }
    };
    await Promise.all([addOnAndOn(), killAndStart().finally(() => lastKill.abort())]);

    await areRight(portal, added);
    const { events } = await portal.statistics();
    expect(events.answers).toEqual({ '200': events.sent });
    await changesNothingMore(portal, added);
  }, 240_000);

  it('of the gateway, right after its answers, takes back none of them', async () => {
    const portal = await installed('gateway');
    const added: number[] = [];
    for (let kills = 0; kills < 3; kills += 1) {
      const before = await whenIdle(portal);
      added.push(...(await addContacts(portal, 20)));
      const { events } = await eventually(
        async () => {
          const now = await portal.statistics();
          expect(now.events.names['ONCRMCONTACTADD']).toBe(added.length);
          return now;
        },
        { everyMs: 1 },
      );
      await relay.kill('gateway');
      expect(notAccepted(events)).toBe(notAccepted(before.events));
      await relay.start('gateway');
    }
    await areRight(portal, added);
    await changesNothingMore(portal, added);
  }, 240_000);

  it('of both, in the middle of a burst, loses nothing that was answered with 200', async () => {
    // One event after the other: those that are accepted before the kill are the first ones.
    const portal = await installed('both', { eventConcurrency: 1 });
    const acknowledged: number[] = [];
    for (let kills = 0; kills < 2; kills += 1) {
      // Dead from the beginning, so that no update of its own is among the events that are counted.
      await relay.kill('name-formatter');
      const before = accepted((await whenIdle(portal)).events);
      const killInTheMiddle = async (): Promise<void> => {
        const moment = before + randomInt(1, 30);
        await eventually(
          async () => expect(accepted((await portal.statistics()).events)).toBeGreaterThanOrEqual(moment),
          { everyMs: 1 },
        );
        await relay.kill('gateway');
      };
      const [added] = await Promise.all([addContacts(portal, 100), killInTheMiddle()]);
      const { events } = await whenIdle(portal);
      acknowledged.push(...added.slice(0, accepted(events) - before));
      await Promise.all([relay.start('gateway'), relay.start('name-formatter')]);
    }
    await areRight(portal, acknowledged);
    await changesNothingMore(portal, acknowledged);
  }, 240_000);
});

/** @returns their ids, in the order of their events */
async function addContacts(portal: SimulatedPortal, count: number): Promise<number[]> {
  const names = Array.from({ length: count }, () => ({ name: 'jOHN', secondName: '', lastName: "o'NEIL" }));
  const added = await Promise.all(names.map((fields) => portal.add(contactTypeId, fields)));
  return added.map(({ id }) => id).toSorted((one, other) => one - other);
}

async function areRight(portal: SimulatedPortal, ids: readonly number[]): Promise<void> {
  expect(ids.length).toBeGreaterThan(0);
  const left = [...ids];
  await eventually(
    async () => {
      while (left.length > 0) {
        const some = left.slice(0, 50);
        for (const contact of await Promise.all(some.map((id) => portal.item(contactTypeId, id)))) {
          expect(contact).toMatchObject({ name: 'John', lastName: "O'Neil" });
        }
        left.splice(0, some.length);
      }
    },
    { timeoutMs: 60_000, everyMs: 100 },
  );
}

/**
 * The events of one portal are handled batch after batch. So when a contact that was added later is right, all that
 * came before it is done, also what was in hand when a process died.
 */
async function changesNothingMore(portal: SimulatedPortal, ids: readonly number[]): Promise<void> {
  await areRight(portal, await addContacts(portal, 1));
  const before = await portal.statistics();
  await Promise.all(
    ids.slice(0, 5).map((id) => portal.change(contactTypeId, id, { comments: 'has called' })),
  );
  await whenIdle(portal);
  await areRight(portal, await addContacts(portal, 1));
  const { calls } = await portal.statistics();
  expect(calls['crm.item.update']).toBe((before.calls['crm.item.update'] ?? 0) + 1);
}

/** Every event that was caused has been sent, and has its answer, if one came. */
function whenIdle(portal: SimulatedPortal): Promise<Statistics> {
  return eventually(async () => {
    const now = await portal.statistics();
    expect(now.events.pending).toBe(0);
    return now;
  });
}

function accepted({ answers }: Statistics['events']): number {
  return answers['200'] ?? 0;
}

function notAccepted(events: Statistics['events']): number {
  return events.sent - accepted(events);
}
