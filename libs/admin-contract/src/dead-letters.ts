import { z } from 'zod';
import { consumerName, listLimit, memberId, time } from './json.js';

const DEFAULT_RATE = 50;
const RATE_RANGE = 'must be a number from 1 to 1000 events a second';
const WHOLE_NUMBER = 'must be a whole number from 1 on';

const letterId = z.string().min(1).max(64);
const filter = z.strictObject({
  consumer: consumerName.optional(),
  portal: memberId.optional(),
  error: z.string().min(1).max(100).optional(),
  since: time.optional(),
  until: time.optional(),
});
const deadLetter = z.object({
  id: z.string(),
  consumer: z.string(),
  code: z.string(),
  message: z.string(),
  attempts: z.number(),
  firstFailedAt: z.string().nullable(),
  lastFailedAt: z.string().nullable(),
  /** From the event; null for an unreadable message. */
  memberId: z.string().nullable(),
  event: z.string().nullable(),
  entity: z.string().nullable(),
  receivedAt: z.string().nullable(),
});

/** `GET /ops/api/dead-letters`, the oldest first */
export const deadLettersQuery = filter
  .extend({
    limit: listLimit,
    /** `next` of the page before; if that letter is gone, the list begins with the oldest. */
    after: letterId.optional(),
    /** A reading that began before is not enough: there is another one soon, of which a later list is had; see `countedAt`. */
    asOf: time.optional(),
  })
  .refine(({ after, consumer }) => after === undefined || consumer !== undefined, {
    error: 'needs the consumer',
    path: ['after'],
  });
export const deadLettersResponse = z.object({
  deadLetters: z.array(deadLetter),
  /** Of those that were examined: a list that is full is not counted to its end. */
  matching: z.number(),
  /** False: there are more dead letters than were examined. */
  complete: z.boolean(),
  /** With a consumer: after which letter the next page begins, if there is one. */
  next: z.string().optional(),
  /**
   * As of when this is the list: with RabbitMQ, many letters are not read for each list. Null: they are being read for the first
   * time, and these are those that match so far.
   */
  countedAt: z.string().nullable(),
});
export type DeadLettersResponse = z.output<typeof deadLettersResponse>;
export type ListedDeadLetter = DeadLettersResponse['deadLetters'][number];

/** `GET /ops/api/dead-letters/groups`: by consumer and cause, the largest first */
export const deadLetterGroupsQuery = filter;
const deadLetterGroup = z.object({
  consumer: z.string(),
  code: z.string(),
  /** Of the last one that died. */
  message: z.string(),
  letters: z.number(),
  /** Those with the most letters, 50 at most. Null: unreadable messages, or a portal that is not known. */
  portals: z.array(
    z.object({ memberId: z.string().nullable(), domain: z.string().nullable(), letters: z.number() }),
  ),
  portalCount: z.number(),
  /** The most frequent, 20 at most; null stands for unreadable messages. */
  events: z.array(z.object({ event: z.string().nullable(), letters: z.number() })),
  firstDiedAt: z.string().nullable(),
  lastDiedAt: z.string().nullable(),
});
export type DeadLetterGroup = z.output<typeof deadLetterGroup>;
export const deadLetterGroupsResponse = z.object({
  groups: z.array(deadLetterGroup),
  matching: z.number(),
  /** False: there are more dead letters, or causes, than one request examines; or they are still being counted. */
  complete: z.boolean(),
  /**
   * As of when the oldest of these counts is; many letters are counted every half minute at most. Null:
   * they are being counted for the first time, and the rest is what was counted so far.
   */
  countedAt: z.string().nullable(),
});
export type DeadLetterGroupsResponse = z.output<typeof deadLetterGroupsResponse>;

/** `GET /ops/api/dead-letters/:consumer/:id` */
export const deadLetterPath = z.object({ consumer: consumerName, id: letterId });
export const deadLetterResponse = deadLetter.extend({
  /** The event as it arrived, without secrets; plain text for an unreadable message. */
  content: z.unknown(),
});
export type DeadLetterDetail = z.output<typeof deadLetterResponse>;

const selection = filter.extend({
  id: letterId.optional(),
  limit: z.int({ error: WHOLE_NUMBER }).min(1, { error: WHOLE_NUMBER }).optional(),
  /** Without a consumer: `next` of the previous response, since those before it are done. */
  from: consumerName.optional(),
});
const page = z.object({
  /** No match is left; else the next request continues. */
  done: z.boolean(),
  complete: z.boolean(),
  /** For the next request: messages that become dead letters meanwhile are excluded. */
  until: z.string(),
  /** The consumer that the next page goes on with. */
  next: z.string().optional(),
});
export type DeadLetterPage = z.output<typeof page>;

/** `POST /ops/api/dead-letters/replay`: for some seconds; the client repeats it until it is done. */
export const deadLetterReplayRequest = selection.extend({
  rate: z
    .number({ error: RATE_RANGE })
    .min(1, { error: RATE_RANGE })
    .max(1_000, { error: RATE_RANGE })
    .default(DEFAULT_RATE),
});
export const deadLetterReplayResponse = page.extend({ replayed: z.number() });
export type DeadLetterReplayResponse = z.output<typeof deadLetterReplayResponse>;

/** `POST /ops/api/dead-letters/drop` */
export const deadLetterDropRequest = selection
  .extend({ all: z.literal(true).optional() })
  .refine(isMeantByName, { error: 'say which letters by a filter, or that all are meant' });
export const deadLetterDropResponse = page.extend({ dropped: z.number() });
export type DeadLetterDropResponse = z.output<typeof deadLetterDropResponse>;

/** A filter is easily forgotten, and dropped events are lost. A limit alone says how many, not which. */
function isMeantByName(body: z.output<typeof selection> & { all?: boolean | undefined }): boolean {
  const { all, consumer, portal, error, since, until, id } = body;
  return all === true || [consumer, portal, error, since, until, id].some((one) => one !== undefined);
}
