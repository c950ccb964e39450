import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { hasBroker } from '../support/broker.js';
import { CuttableLink } from '../support/cuttable-link.js';
import { eventually } from '../support/eventually.js';
import { buildNextVersion } from '../support/next-version.mjs';
import { askGateway, command } from '../support/operator.js';
import { startRelay, type BusKind, type Relay } from '../support/relay.js';
import { contactTypeId, type SimulatedPortal } from '../support/simulated-portal.js';

const journals = z.object({ gateways: z.array(z.looseObject({})) });
const consumers = z.object({
  consumers: z.array(z.looseObject({ consumer: z.string(), newer: z.number(), dead: z.number() })),
});
const buses: BusKind[] = hasBroker ? ['RabbitMQ', 'PostgreSQL'] : ['PostgreSQL'];
const written = { name: 'jOHN', secondName: '', lastName: "o'NEIL" };
const corrected = { name: 'John', lastName: "O'Neil" };

/**
 * Real: every app as a process, of this version and of one that writes messages of the next, PostgreSQL and RabbitMQ. Simulated:
 * Bitrix24.
 */
describe.each(buses)('a rollback, with the bus in %s', (bus) => {
  let relay: Relay;
  let next: Awaited<ReturnType<typeof buildNextVersion>>;
  let link: CuttableLink | undefined;
  let portal: SimulatedPortal;
  /** The gateway's way to the bus, which can be cut where it is not the database. */
  let behindTheLink: Record<string, string> = {};

  beforeAll(async () => {
    [relay, next] = await Promise.all([startRelay(bus, ['name-formatter']), buildNextVersion()]);
    if (bus === 'RabbitMQ') {
      const broker = new URL(relay.env['AMQP_URL'] ?? '');
      link = await CuttableLink.to(Number(broker.port || '5672'), broker.hostname);
      broker.host = `127.0.0.1:${link.port}`;
      behindTheLink = { AMQP_URL: broker.href };
    }
    portal = await relay.portal('acme', { rate: 1_000, burst: 10_000 });
    await portal.install(`${relay.gatewayUrl}/b24/install`);
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTADD');
    });
  }, 120_000);
  afterAll(async () => {
    await relay?.stop();
    await link?.cut();
    await next?.remove();
  }, 60_000);

  async function replace(app: string, build?: string): Promise<void> {
    await relay.end(app);
    await relay.start(app, app === 'gateway' ? behindTheLink : {}, build);
  }

  async function addContact(): Promise<number> {
    const { events: before } = await portal.statistics();
    const { id } = await portal.add(contactTypeId, written);
    await eventually(async () => {
      const { events } = await portal.statistics();
      expect(events.answers['200'] ?? 0).toBeGreaterThan(before.answers['200'] ?? 0);
    });
    return id;
  }

  async function isCorrected(id: number): Promise<void> {
    await eventually(async () => expect(await portal.item(contactTypeId, id)).toMatchObject(corrected), {
      timeoutMs: 60_000,
      everyMs: 200,
    });
  }

  /** As the gateway reports it every few seconds; a killed one is listed for half a minute. */
  async function journalHolds(contents: object): Promise<void> {
    await eventually(async () => {
      const { gateways } = journals.parse(await askGateway(relay, 'GET', '/journal'));
      expect(gateways.at(-1)).toMatchObject(contents);
    });
  }

  it('keeps what the newer version wrote, shows it, and delivers it after the next upgrade', async () => {
    await relay.end('name-formatter');
    await replace('gateway', next.dist);
    const onTheBus = await addContact();
    await link?.cut();
    const inTheJournal = link ? [await addContact()] : [];
    await relay.end('gateway');

    // The older version.
    await link?.mend();
    await relay.start('gateway', behindTheLink);
    await relay.start('name-formatter');
    const meanwhile = await addContact();
    await isCorrected(meanwhile);
    await eventually(
      async () => {
        const { consumers: listed } = consumers.parse(await askGateway(relay, 'GET', '/consumers'));
        expect(listed).toMatchObject([{ consumer: 'name-formatter', newer: 1, dead: 0 }]);
      },
      { timeoutMs: 30_000, everyMs: 200 },
    );
    expect((await command(relay, ['queues'])).screen).toContain('1 OF A NEWER VERSION');
    const journalled = inTheJournal.length;
    await journalHolds({ events: 0, newer: journalled, unreadable: 0 });
    expect(await relay.metric('gateway', 'relay_journal_aside_events')).toBe(journalled);
    expect(
      (await command(relay, ['journal', 'status'])).screen.match(/\d+ OF A NEWER VERSION/g) ?? [],
    ).toEqual(inTheJournal.map(() => '1 OF A NEWER VERSION'));
    expect(await portal.item(contactTypeId, onTheBus)).toMatchObject(written);

    await replace('name-formatter', next.dist);
    await replace('gateway', next.dist);
    for (const id of [onTheBus, ...inTheJournal]) await isCorrected(id);
    await journalHolds({ events: 0, newer: 0, unreadable: 0 });
  }, 240_000);
});
