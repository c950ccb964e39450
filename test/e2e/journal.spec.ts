import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { hasBroker } from '../support/broker.js';
import { CuttableLink } from '../support/cuttable-link.js';
import { eventually } from '../support/eventually.js';
import { startRelay, type Relay } from '../support/relay.js';
import { contactTypeId, type SimulatedPortal } from '../support/simulated-portal.js';

/** Real: every app as built, PostgreSQL, RabbitMQ behind a link that is cut. Simulated: Bitrix24. */
(hasBroker ? describe : describe.skip)('while the broker is away', () => {
  let relay: Relay;
  let link: CuttableLink;
  let portal: SimulatedPortal;
  let behindTheLink: Record<string, string>;

  beforeAll(async () => {
    relay = await startRelay('RabbitMQ', ['name-formatter'], { apart: [['gateway']] });
    const broker = new URL(relay.env['AMQP_URL'] ?? '');
    link = await CuttableLink.to(Number(broker.port || '5672'), broker.hostname);
    broker.host = `127.0.0.1:${link.port}`;
    behindTheLink = { AMQP_URL: broker.href };
    await relay.end('gateway');
    await relay.start('gateway', behindTheLink);
    portal = await relay.portal('acme', { rate: 1_000, burst: 10_000 });
    await portal.install(`${relay.gatewayUrl}/b24/install`);
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTADD');
    });
  }, 120_000);
  afterAll(async () => {
    await relay?.stop();
    await link?.cut();
  }, 60_000);

  /** Resolves when the gateway has answered each of the events with 200. */
  async function addContacts(count: number): Promise<number[]> {
    const { events: before } = await portal.statistics();
    const names = Array.from({ length: count }, () => ({ name: 'jOHN', secondName: '', lastName: "o'NEIL" }));
    const added = await Promise.all(names.map((fields) => portal.add(contactTypeId, fields)));
    await eventually(async () => {
      const { events } = await portal.statistics();
      expect((events.answers['200'] ?? 0) - (before.answers['200'] ?? 0)).toBeGreaterThanOrEqual(count);
    });
    const { events } = await portal.statistics();
    expect(events.answers).toEqual({ '200': events.sent });
    return added.map(({ id }) => id);
  }

  async function health(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${relay.opsPort('gateway')}/health/ready`)).text();
  }

  it('takes every event, survives kill -9 and brings them all to the consumer afterwards', async () => {
    await link.cut();
    const added = await addContacts(30);
    expect(await health()).toContain('degraded');
    await relay.kill('gateway');
    await relay.start('gateway', behindTheLink);
    added.push(...(await addContacts(10)));

    await link.mend();
    await eventually(
      async () => {
        for (const id of added) {
          expect(await portal.item(contactTypeId, id)).toMatchObject({ name: 'John', lastName: "O'Neil" });
        }
      },
      { timeoutMs: 60_000, everyMs: 200 },
    );
    await eventually(async () => expect(await health()).toContain('"ready"'));
    expect(await relay.metric('gateway', 'relay_journal_events')).toBe(0);
  }, 120_000);
});
