import { z } from 'zod';
import { consumerName, eventName } from './json.js';

/** One process of a consumer, as it reported itself. */
const consumerProcess = z.object({
  replica: z.string(),
  /** For display; in a container, the container id. */
  host: z.string(),
  pid: z.number(),
  /** Portals with work. */
  lanes: z.number(),
  /** Events that wait in lanes. */
  waiting: z.number(),
  /** Batches in flight. */
  batches: z.number(),
  /** The circuit breaker is open: one event at a time is tried. */
  isPaused: z.boolean(),
  oldestAt: z.string().nullable(),
  /** Messages of a newer version that it has returned to the bus lately. */
  newer: z.number(),
  /** Events that it has put off although nothing failed, and that are not due again yet. */
  deferred: z.number(),
  /** Events that it has handled since its start. */
  done: z.number(),
  /** The portals of which it has the most events, the most first, ten at most. */
  largest: z.array(z.object({ memberId: z.string(), events: z.number() })),
  startedAt: z.string(),
  reportedAt: z.string(),
});

const consumerStatus = z.object({
  consumer: z.string(),
  /** Events in its queues that no process has taken. */
  waiting: z.number(),
  /** Events in flight: its processes have taken and not settled them. */
  inHand: z.number(),
  /** Events that wait for their next attempt. */
  retrying: z.number(),
  /** Of those, events of a newer version: they wait for the upgrade. */
  newer: z.number(),
  /** Of those, events for which nothing failed: they exceeded the capacity of their portal's lane. */
  deferred: z.number(),
  dead: z.number(),
  /** When the oldest event was received; null when there is none or it is unknown. */
  oldestAt: z.string().nullable(),
  /** Of the 16 shards, those that a process serves at this moment. */
  shardsServed: z.number(),
  processes: z.array(consumerProcess),
  /** It has work and no process to do it. */
  missing: z.boolean(),
  /** Nothing exists for it on the bus: it never ran, or it was retired. */
  unknown: z.boolean(),
});

/** `GET /ops/api/consumers` */
export const consumersResponse = z.object({
  consumers: z.array(
    consumerStatus.extend({
      /** Event names to which it subscribed at its last start. */
      events: z.array(z.string()),
    }),
  ),
  /** Of the portals that are named here, by `member_id`; one that is not known has none. */
  domains: z.record(z.string(), z.string()),
});
export type ConsumersResponse = z.output<typeof consumersResponse>;
export type ListedConsumer = ConsumersResponse['consumers'][number];

export const consumerPath = z.object({ consumer: consumerName });

const MAX_EVENTS = 500;

/** `PUT /ops/api/consumers/:consumer` */
export const registerRequest = z.strictObject({
  /** All that it is to get, in the form of `event.bind`. */
  events: z.array(eventName).min(1, 'name no event').max(MAX_EVENTS),
});
export const registerResponse = z.object({
  events: z.array(z.string()),
  /** Of those, the ones that Bitrix24 does not document. */
  undocumented: z.array(z.string()),
});

/** `POST /ops/api/consumers/:consumer/retire` */
export const retireRequest = z
  .strictObject({
    /** It gets no more events; its processes finish those that wait. Nothing is removed. */
    drain: z.boolean().default(false),
    /** Waiting, retrying and dead messages are deleted with it. */
    drop: z.boolean().default(false),
  })
  .refine(({ drain, drop }) => !(drain && drop), { error: 'either drain or drop, not both' });
export const retireResponse = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('retired'), dropped: z.number() }),
  z.object({ outcome: z.literal('draining'), status: consumerStatus }),
]);
export type RetireResponse = z.output<typeof retireResponse>;
