import { z } from 'zod';
import { eventName, listLimit, memberId } from './json.js';

const OUTCOMES = ['received', 'done', 'merged', 'retry', 'wait', 'dead'] as const;

const POSITION = /^\d{1,15}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** `GET /ops/api/events`, the last first */
export const eventsQuery = z.strictObject({
  /** Of an event: this one alone. */
  id: z.uuid({ error: 'is no id of an event' }).optional(),
  portal: memberId.optional(),
  /** Such as `CRMCONTACT:82`. */
  entity: z.string().min(1).max(150, { error: 'is no entity' }).optional(),
  /** Base or suffixed. */
  name: eventName.optional(),
  /**
   * `received`: no consumer has decided about it yet; `merged`: a consumer handled it as one with another; the rest: the last
   * decision of a consumer.
   */
  outcome: z.enum(OUTCOMES, { error: `must be one of ${OUTCOMES.join(', ')}` }).optional(),
  limit: listLimit,
  /** `next` of the previous page. */
  before: z.string().regex(POSITION, 'is no `next` of a page').optional(),
});

const listedEvent = z.object({
  id: z.string(),
  memberId: z.string(),
  /** Null: a portal that is not known. */
  domain: z.string().nullable(),
  /** Suffixed for a smart process. */
  event: z.string(),
  /** Null: it names no thing. */
  entity: z.string().nullable(),
  receivedAt: z.string(),
  /** Null: Bitrix24 posted it; `offline`: read from its offline queue; `reconcile`: found after a time whose events were missed; `resend`: an operator sent it again. */
  source: z.enum(['offline', 'reconcile', 'resend']).nullable(),
  /** Null: tracing is off. */
  traceId: z.string().nullable(),
  /** It can be sent again: it carried nothing but the id of its thing. */
  resendable: z.boolean(),
  /** Why it cannot be sent again; null: it can. */
  notResendable: z.string().nullable(),
  /** The last decision of each consumer; one that is missing has not decided, or does not subscribe to it. */
  outcomes: z.array(
    z.object({
      consumer: z.string(),
      /** `wait`: the portal could not be called, and the event comes back. */
      outcome: z.enum(['done', 'retry', 'wait', 'dead']),
      at: z.string(),
      /** Failed attempts before this one. */
      attempts: z.number(),
      /** Of the error. */
      code: z.string().nullable(),
      /** The event with which it was handled as one; null: it was that itself. */
      mergedInto: z.string().nullable(),
    }),
  ),
});
export type ListedEvent = z.output<typeof listedEvent>;

export const eventsResponse = z.object({
  /** False: `EVENT_LOG_DAYS` is 0. */
  enabled: z.boolean(),
  events: z.array(listedEvent),
  /** For `before` of the next page; null: this is the last one. */
  next: z.string().nullable(),
});
export type EventsResponse = z.output<typeof eventsResponse>;

/** `POST /ops/api/events/:id/resend` */
export const eventPath = z.object({ id: z.uuid({ error: 'is no id of an event' }) });
/** The id of the event that was sent. */
export const resendResponse = z.object({ id: z.string() });
