import type { BusCare, JournalledBus } from '@relay/bus';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { KnownConsumers, type KnownConsumersParts } from './known-consumers.js';
import { OpsRefusal } from './ops-refusal.js';
import { whyNotRetired } from './why-not-retired.js';

export interface BusRouteParts extends KnownConsumersParts {
  care: BusCare;
  journal: Pick<JournalledBus, 'status'>;
}

export const consumerName = z.string().regex(/^[a-z][a-z0-9-]{0,39}$/, 'is no name of a consumer');
const consumerPath = z.object({ consumer: consumerName });
const retireBody = z
  .strictObject({ drain: z.boolean().default(false), drop: z.boolean().default(false) })
  .refine(({ drain, drop }) => !(drain && drop), { error: 'either drain or drop, not both' });

/** What an operator asks of the bus, its consumers and the journal. */
export function addBusRoutes(api: FastifyInstance, { care, journal, ...parts }: BusRouteParts): void {
  const consumers = new KnownConsumers({ care, ...parts });

  api.get('/ops/api/consumers', async () => ({ consumers: await consumers.statuses() }));
  api.get('/ops/api/journal', async () => journal.status());
  api.get('/ops/api/unrouted', async () => ({ unrouted: await care.unrouted() }));
  api.get('/ops/api/topology', async () => {
    const topology = await care.topology(await consumers.events());
    return { ok: topology.every(({ state }) => state === 'ok'), topology };
  });
  api.post('/ops/api/consumers/:consumer/retire', async (request) => {
    const { consumer } = consumerPath.parse(request.params);
    const how = retireBody.parse(request.body ?? {});
    await consumers.require(consumer);
    const retirement = await care.retire(consumer, { ...how, names: await consumers.everyEvent() });
    if (retirement.outcome === 'refused') throw new OpsRefusal(409, whyNotRetired(retirement));
    if (retirement.outcome === 'retired') await consumers.forget(consumer);
    return retirement;
  });
}
