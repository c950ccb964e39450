import { ConflictException } from '@nestjs/common';
import {
  consumerPath,
  registerRequest,
  retireRequest,
  retriesQuery,
  unroutedReplayRequest,
  type consumersResponse,
  type journalsResponse,
  type moveResponse,
  type registerResponse,
  type retireResponse,
  type retriesResponse,
  type Sent,
  type topologyResponse,
  type unroutedReplayResponse,
  type unroutedResponse,
} from '@relay/admin-contract';
import {
  sortByDueTime,
  type BusAdmin,
  type BusMover,
  type ConsumerStatus,
  type Retirement,
  type WaitingRetry,
} from '@relay/bus';
import { DATA_ROWS, formatEventName, parseEventName } from '@relay/events';
import type { PortalQuery } from '@relay/portals';
import type { FastifyInstance } from 'fastify';
import type { GatewayReports } from './gateway-reports.js';
import { ConsumerRegistry, type ConsumerRegistryParts } from './consumer-registry.js';

export interface BusRouteParts extends ConsumerRegistryParts {
  admin: BusAdmin;
  mover: Pick<BusMover, 'move'>;
  gateways: Pick<GatewayReports, 'journals' | 'repairs'>;
  portals: PortalQuery;
}

const DOCUMENTED = new Set<string>(DATA_ROWS.flatMap(({ names }) => names));

/** Operator routes for the bus, its consumers and the journals. */
export function addBusRoutes(
  api: FastifyInstance,
  { admin, mover, gateways, portals, ...parts }: BusRouteParts,
): void {
  const consumers = new ConsumerRegistry({ admin, ...parts });
  const domainsOf = async (
    named: readonly { memberId: string | null }[],
  ): Promise<Record<string, string>> => {
    const memberIds = new Set(named.flatMap(({ memberId }) => memberId ?? []));
    return memberIds.size === 0 ? {} : Object.fromEntries(await portals.domainsOf([...memberIds]));
  };

  api.get('/ops/api/consumers', async (): Promise<Sent<typeof consumersResponse>> => {
    const statuses = await consumers.statuses();
    const named = statuses.flatMap(({ processes }) => processes.flatMap(({ largest }) => largest));
    return { consumers: statuses, domains: await domainsOf(named) };
  });
  api.get('/ops/api/journal', async (): Promise<Sent<typeof journalsResponse>> => {
    return { gateways: await gateways.journals() };
  });
  api.get('/ops/api/retries', async (request): Promise<Sent<typeof retriesResponse>> => {
    const { consumer, portal: memberId, limit } = retriesQuery.parse(request.query);
    if (consumer !== undefined) await consumers.require(consumer);
    const answer = { retries: new Array<WaitingRetry>(), matching: 0, complete: true };
    for (const one of consumer === undefined ? await consumers.names() : [consumer]) {
      const { retries, matching, complete } = await admin.retries(one, { memberId, limit });
      answer.retries.push(...retries);
      answer.matching += matching;
      answer.complete &&= complete;
    }
    const retries = sortByDueTime(answer.retries).slice(0, limit);
    return { ...answer, retries, domains: await domainsOf(retries) };
  });
  api.get('/ops/api/unrouted', async (): Promise<Sent<typeof unroutedResponse>> => {
    return { unrouted: await admin.unrouted() };
  });
  api.post('/ops/api/unrouted/replay', async (request): Promise<Sent<typeof unroutedReplayResponse>> => {
    const { portal: memberId, since, until } = unroutedReplayRequest.parse(request.body ?? {});
    return admin.replayUnrouted(await consumers.wanted(), { memberId, since, until });
  });
  api.post('/ops/api/bus/move', async (): Promise<Sent<typeof moveResponse>> => mover.move());
  api.get('/ops/api/topology', async (): Promise<Sent<typeof topologyResponse>> => {
    const topology = await admin.topology(await consumers.events());
    return { ok: topology.every(({ state }) => state === 'ok'), topology, repairs: await gateways.repairs() };
  });
  api.put('/ops/api/consumers/:consumer', async (request): Promise<Sent<typeof registerResponse>> => {
    const { consumer } = consumerPath.parse(request.params);
    const parsed = registerRequest.parse(request.body ?? {}).events.map(parseEventName);
    const events = [...new Set(parsed.map(({ name, entityTypeId }) => formatEventName(name, entityTypeId)))];
    await consumers.register(consumer, events);
    return { events, undocumented: events.filter((event) => !DOCUMENTED.has(parseEventName(event).name)) };
  });
  api.post('/ops/api/consumers/:consumer/retire', async (request): Promise<Sent<typeof retireResponse>> => {
    const { consumer } = consumerPath.parse(request.params);
    const how = retireRequest.parse(request.body ?? {});
    const retirement = await consumers.retire(consumer, how);
    if (retirement.outcome === 'rejected') throw new ConflictException(formatRetireRejection(retirement));
    return retirement;
  });
}

/** The remaining messages or processes, and what to do about them. */
function formatRetireRejection({
  reason,
  status,
  unsubscribed,
}: Extract<Retirement, { outcome: 'rejected' }>): string {
  const { consumer } = status;
  const already = unsubscribed ? ' It gets no more events already.' : '';
  switch (reason) {
    case 'processes':
      return `${consumer} is still at work: ${processesOf(status)}. Stop it first (npm start runs every consumer under apps/: npm run remove:consumer, then start it again); or use --drain: then it gets no more events, and works off what waits.${already}`;
    case 'messages':
      return `${consumer} still has work: ${workOf(status)}. Start it to work this off, replay or drop its dead letters; or throw all of it away with --drop.${already}`;
    default:
      return reason satisfies never;
  }
}

function processesOf({ processes, shardsServed }: ConsumerStatus): string {
  const named = processes.map(({ host, pid }) => `process ${pid} on ${host}`);
  return named.length > 0 ? named.join(', ') : `a process serves ${shardsServed} of its shards`;
}

function workOf({ waiting, inHand, retrying, dead }: ConsumerStatus): string {
  const counts = { waiting: waiting + inHand, retrying, dead };
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${count} ${what}`)
    .join(', ');
}
