import type { BusAdmin, BusMover } from '@relay/bus';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { GatewayReports } from './gateway-reports.js';
import { KnownConsumers, type KnownConsumersParts } from './known-consumers.js';
import { OpsRejectedError } from './ops-rejected-error.js';
import { formatRetireRejection } from './format-retire-rejection.js';

export interface BusRouteParts extends KnownConsumersParts {
  admin: BusAdmin;
  mover: Pick<BusMover, 'round'>;
  gateways: Pick<GatewayReports, 'journals' | 'repairs'>;
}

export const consumerName = z.string().regex(/^[a-z][a-z0-9-]{0,39}$/, 'is no name of a consumer');
const consumerPath = z.object({ consumer: consumerName });
const retireBody = z
  .strictObject({ drain: z.boolean().default(false), drop: z.boolean().default(false) })
  .refine(({ drain, drop }) => !(drain && drop), { error: 'either drain or drop, not both' });

const time = z.iso.datetime({ offset: true }).transform((text) => new Date(text));
const replayBody = z.strictObject({
  portal: z
    .string()
    .regex(/^[\w-]{1,64}$/, 'is no member_id')
    .optional(),
  since: time.optional(),
  until: time.optional(),
});

/** Operator routes for the bus, its consumers and the journal. */
export function addBusRoutes(
  api: FastifyInstance,
  { admin, mover, gateways, ...parts }: BusRouteParts,
): void {
  const consumers = new KnownConsumers({ admin, ...parts });

  api.get('/ops/api/consumers', async () => ({ consumers: await consumers.statuses() }));
  api.get('/ops/api/journal', async () => ({ gateways: await gateways.journals() }));
  api.get('/ops/api/unrouted', async () => ({ unrouted: await admin.unrouted() }));
  api.post('/ops/api/unrouted/replay', async (request) => {
    const { portal: memberId, since, until } = replayBody.parse(request.body ?? {});
    return admin.replayUnrouted(await consumers.wanted(), { memberId, since, until });
  });
  api.post('/ops/api/bus/move', async () => mover.round());
  api.get('/ops/api/topology', async () => {
    const topology = await admin.topology(await consumers.events());
    return { ok: topology.every(({ state }) => state === 'ok'), topology, repairs: await gateways.repairs() };
  });
  api.post('/ops/api/consumers/:consumer/retire', async (request) => {
    const { consumer } = consumerPath.parse(request.params);
    const how = retireBody.parse(request.body ?? {});
    await consumers.require(consumer);
    // First, so that no gateway declares its queues and bindings again.
    const isFresh = await consumers.drain(consumer);
    const retirement = await admin.retire(consumer, { ...how, names: await consumers.everyEvent() });
    if (retirement.outcome === 'refused') {
      if (isFresh && !retirement.unsubscribed) await consumers.undrain(consumer);
      throw new OpsRejectedError(409, formatRetireRejection(retirement));
    }
    if (retirement.outcome === 'retired') await consumers.forget(consumer);
    return retirement;
  });
}
