import { z } from 'zod';
import { consumerName, memberId, time } from './json.js';

const DEFAULT_LIST = 100;
const MAX_LIST = 1_000;
const DEFAULT_RATE = 50;

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
export const deadLettersQuery = filter.extend({
  limit: z.coerce.number().int().min(1).max(MAX_LIST).default(DEFAULT_LIST),
});
export const deadLettersResponse = z.object({
  deadLetters: z.array(deadLetter),
  matching: z.number(),
  /** False: there are more letters than one request examines. */
  complete: z.boolean(),
});

/** `GET /ops/api/dead-letters/:consumer/:id` */
export const deadLetterPath = z.object({ consumer: consumerName, id: letterId });
export const deadLetterResponse = deadLetter.extend({
  /** The event as it arrived, without secrets; plain text for an unreadable message. */
  content: z.unknown(),
});

const selection = filter.extend({
  id: letterId.optional(),
  limit: z.int().min(1).optional(),
  /** Without a consumer: `next` of the previous response, since those before it are done. */
  from: consumerName.optional(),
});
const page = z.object({
  /** No match is left; else the next request continues. */
  done: z.boolean(),
  complete: z.boolean(),
  /** For the next request: letters that die meanwhile are excluded. */
  until: z.string(),
  /** The consumer that the next page goes on with. */
  next: z.string().optional(),
});
export type DeadLetterPage = z.output<typeof page>;

/** `POST /ops/api/dead-letters/replay`: for some seconds; the client repeats it until it is done. */
export const deadLetterReplayRequest = selection.extend({
  rate: z.number().min(1).max(1_000).default(DEFAULT_RATE),
});
export const deadLetterReplayResponse = page.extend({ replayed: z.number() });

/** `POST /ops/api/dead-letters/drop` */
export const deadLetterDropRequest = selection
  .extend({ all: z.literal(true).optional() })
  .refine(isMeantByName, { error: 'say which letters by a filter, or that all are meant' });
export const deadLetterDropResponse = page.extend({ dropped: z.number() });

/** A filter is easily forgotten, and dropped events are lost. A limit alone says how many, not which. */
function isMeantByName(body: z.output<typeof selection> & { all?: boolean | undefined }): boolean {
  const { all, consumer, portal, error, since, until, id } = body;
  return all === true || [consumer, portal, error, since, until, id].some((one) => one !== undefined);
}
