import { z } from 'zod';
import { memberId, time } from './json.js';

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
