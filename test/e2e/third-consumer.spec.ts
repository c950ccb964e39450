import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Module } from '@nestjs/common';
import {
  CONSUMER_VARIABLES,
  startConsumer,
  type RunningConsumer,
  OnPortalEvents,
  type PortalBatch,
} from '@relay/consumer';
import { readEnvironment } from '@relay/platform';
import { PortalClients } from '@relay/portals';
import { hasBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { startRelay, type BusKind, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

const deliveries = 147;
const announced: string[] = [];

/** The whole of a third consumer, as the README shows it. */
@Controller()
class DeliveriesController {
  constructor(private readonly portals: PortalClients) {}

  @OnPortalEvents(['ONCRMDYNAMICITEMADD_147'])
  async announce({ memberId, entries }: PortalBatch): Promise<void> {
    const ids = entries.flatMap(({ entityId }) => entityId ?? []);
    const items = await this.portals.for(memberId).listByIds(deliveries, ids, { select: ['id', 'title'] });
    for (const item of items.values()) announced.push(`New: ${String(item['title'])}`);
  }
}

@Module({ controllers: [DeliveriesController] })
class DeliveryAnnouncerModule {}

describe.each<BusKind>(hasBroker ? ['RabbitMQ', 'PostgreSQL'] : ['PostgreSQL'])(
  'a third consumer on %s',
  (bus) => {
    let relay: Relay;
    let portals: SimulatedPortal[];
    let consumer: RunningConsumer | undefined;

    beforeAll(async () => {
      relay = await startRelay(bus, []);
      const types = [{ entityTypeId: deliveries, title: 'Deliveries' }];
      portals = [await relay.portal('one', { types }), await relay.portal('two', { types })];
      for (const portal of portals) await portal.install(`${relay.gatewayUrl}/b24/install`);
    }, 240_000);
    afterAll(async () => {
      await consumer?.close();
      await relay?.stop();
    }, 120_000);

    it('gets its event bound at the portals already installed, and the events after that', async () => {
      announced.length = 0;
      const handlerUrl = `${relay.gatewayUrl}/b24/events`;
      for (const portal of portals)
        expect(await portal.eventsBoundTo(handlerUrl)).not.toContain('ONCRMDYNAMICITEMADD_147');

      const environment = readEnvironment(CONSUMER_VARIABLES, {
        ...relay.env,
        OPS_PORT: '0',
        LOG_LEVEL: 'silent',
      });
      consumer = await startConsumer(
        { name: 'delivery-announcer', module: DeliveryAnnouncerModule },
        environment,
      );
      await eventually(async () => {
        for (const portal of portals)
          expect(await portal.eventsBoundTo(handlerUrl)).toContain('ONCRMDYNAMICITEMADD_147');
      });

      for (const portal of portals) await portal.add(deliveries, { title: `a delivery to ${portal.name}` });
      await eventually(() => {
        expect(announced.toSorted()).toEqual(['New: a delivery to one', 'New: a delivery to two']);
      });
    }, 240_000);
  },
);
