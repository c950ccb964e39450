import { z } from 'zod';
import { consumerName, listLimit, memberId, time } from './json.js';

/** `GET /ops/api/unrouted` */
export const unroutedResponse = z.object({
  unrouted: z.array(
    z.object({
      /** In the form that a consumer would subscribe to. */
      name: z.string(),
      events: z.number(),
      portals: z.number(),
      /** When the gateway received the last of them. */
      lastAt: z.string(),
    }),
  ),
});

export type UnroutedResponse = z.output<typeof unroutedResponse>;

/** `POST /ops/api/unrouted/replay` */
export const unroutedReplayRequest = z.strictObject({
  portal: memberId.optional(),
  since: time.optional(),
  until: time.optional(),
});
export const unroutedReplayResponse = z.object({
  replayed: z.number(),
  /** Events that stay: without a subscriber, or not matched by the filter. */
  left: z.number(),
});

/** `GET /ops/api/retries`, the next first */
export const retriesQuery = z.strictObject({
  consumer: consumerName.optional(),
  portal: memberId.optional(),
  limit: listLimit,
});
export const retriesResponse = z.object({
  retries: z.array(
    z.object({
      consumer: z.string(),
      /** Null if it waits without a failure and no reason was recorded. */
      code: z.string().nullable(),
      attempts: z.number(),
      firstFailedAt: z.string().nullable(),
      /** Null if the bus does not tell. */
      dueAt: z.string().nullable(),
      /** From the event; null for an unreadable message. */
      memberId: z.string().nullable(),
      event: z.string().nullable(),
      entity: z.string().nullable(),
      receivedAt: z.string().nullable(),
    }),
  ),
  /** Of the portals that are named here, by `member_id`; one that is not known has none. */
  domains: z.record(z.string(), z.string()),
  matching: z.number(),
  /** False: more events wait than one request examines. */
  complete: z.boolean(),
});

export type RetriesResponse = z.output<typeof retriesResponse>;

/** An exchange or a queue that was missing and was declared again. */
export const repair = z.object({
  kind: z.string(),
  name: z.string(),
  consumer: z.string().nullable(),
  at: z.string(),
});

const topologyPart = z.object({
  kind: z.enum(['shards', 'exchange', 'queue', 'table', 'subscription']),
  name: z.string(),
  /** null: it belongs to all of them. */
  consumer: z.string().nullable(),
  /** `unavailable`: it exists but does not answer, like a queue without a leader. */
  state: z.enum(['ok', 'missing', 'different', 'unavailable']),
  /** What is wrong with it. */
  detail: z.string().nullable(),
});
export type TopologyPart = z.output<typeof topologyPart>;

/** `GET /ops/api/topology` */
export const topologyResponse = z.object({
  ok: z.boolean(),
  topology: z.array(topologyPart),
  /** Newest first. */
  repairs: z.array(repair),
});

export type TopologyResponse = z.output<typeof topologyResponse>;

/** `POST /ops/api/bus/move`: one round of some seconds; the client repeats it until it is done. */
export const moveResponse = z.object({
  /** There is no previous bus. */
  none: z.boolean(),
  messages: z.number(),
  letters: z.number(),
  unrouted: z.number(),
  /** Nothing is left that this process could move. */
  done: z.boolean(),
  /** Consumers whose processes still use the previous bus: their messages are left to them. */
  served: z.array(z.string()),
  /** Buses that could not be reached, or whose messages the bus in use did not accept. */
  failed: z.array(z.string()),
});
export type MoveResponse = z.output<typeof moveResponse>;
