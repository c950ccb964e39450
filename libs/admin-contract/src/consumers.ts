import { z } from 'zod';
import { consumerName } from './json.js';

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
});
export type ListedConsumer = z.output<typeof consumersResponse>['consumers'][number];

export const consumerPath = z.object({ consumer: consumerName });

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
