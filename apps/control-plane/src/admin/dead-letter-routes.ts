import {
  NoSuchConsumerError,
  type BusAdmin,
  type ReplayPage,
  type DeadLetter,
  type DeadLetterFilter,
} from '@relay/bus';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { consumerName } from './bus-routes.js';
import { KnownConsumers, type KnownConsumersParts } from './known-consumers.js';
import { OpsRejectedError } from './ops-rejected-error.js';

export interface DeadLetterRouteParts extends KnownConsumersParts {
  admin: BusAdmin;
}

/** One request replays for about this long; the client repeats it for the rest. */
const PAGE_MS = 5_000;
const DEFAULT_RATE = 50;
const LIST_AT_MOST = 1_000;
const DEFAULT_LIST = 100;
const DROP_AT_MOST = 50_000;

const time = z.iso.datetime({ offset: true }).transform((text) => new Date(text));
const filter = z.strictObject({
  consumer: consumerName.optional(),
  portal: z
    .string()
    .regex(/^[\w-]{1,64}$/, 'is no member_id')
    .optional(),
  error: z.string().min(1).max(100).optional(),
  since: time.optional(),
  until: time.optional(),
});
const listQuery = filter.extend({
  limit: z.coerce.number().int().min(1).max(LIST_AT_MOST).default(DEFAULT_LIST),
});
const picked = filter.extend({
  id: z.string().min(1).max(64).optional(),
  limit: z.int().min(1).optional(),
  /** Without a consumer: `next` of the previous response, since those before it are done. */
  from: consumerName.optional(),
});
const replayBody = picked.extend({ rate: z.number().min(1).max(1_000).default(DEFAULT_RATE) });
const dropBody = picked.extend({ all: z.literal(true).optional() }).refine(isMeantByName, {
  error: 'say which letters by a filter, or that all are meant',
});
const letterPath = z.object({ consumer: consumerName, id: z.string().min(1).max(64) });

interface Pages extends ReplayPage {
  /** The consumer that the next page goes on with. */
  next?: string | undefined;
}

/** Operator routes for dead letters: in bounded pages, so that no request takes for ever. */
export function addDeadLetterRoutes(api: FastifyInstance, parts: DeadLetterRouteParts): void {
  const { deadLetters } = parts.admin;
  const consumers = new KnownConsumers(parts);

  api.get('/ops/api/dead-letters', async (request) => {
    const { consumer, limit, ...given } = listQuery.parse(request.query);
    const found: DeadLetter[] = [];
    const answer = { matching: 0, complete: true };
    await each(consumer, async (one) => {
      const list = await deadLetters.list(one, filterOf(given), limit - found.length);
      found.push(...list.letters);
      answer.matching += list.matching;
      answer.complete &&= list.complete;
    });
    return { deadLetters: found, ...answer };
  });
  api.get('/ops/api/dead-letters/:consumer/:id', async (request) => {
    const { consumer, id } = letterPath.parse(request.params);
    const letter = await deadLetters.show(consumer, id);
    if (!letter) throw new OpsRejectedError(404, `${consumer} has no dead letter ${id}`);
    return letter;
  });
  api.post('/ops/api/dead-letters/replay', async (request) => {
    const { consumer, rate, limit = Infinity, from, ...given } = replayBody.parse(request.body ?? {});
    // Events that become dead letters during the replay are excluded; the client returns this with the next page.
    const until = given.until ?? new Date();
    const deadline = performance.now() + PAGE_MS;
    const replay = (one: string, left: number): Promise<ReplayPage> => {
      const forMs = Math.max(1, deadline - performance.now());
      return deadLetters.replay(one, filterOf({ ...given, until }), { rate, limit: left, forMs });
    };
    const { letters, ...page } = await pages({ consumer, from }, limit, deadline, replay);
    return { replayed: letters, ...page, until };
  });
  api.post('/ops/api/dead-letters/drop', async (request) => {
    const { consumer, limit = DROP_AT_MOST, from, all: _, ...given } = dropBody.parse(request.body ?? {});
    const until = given.until ?? new Date();
    const { letters, ...page } = await pages({ consumer, from }, limit, Infinity, (one, left) =>
      deadLetters.drop(one, filterOf({ ...given, until }), Math.min(left, DROP_AT_MOST)),
    );
    return { dropped: letters, ...page, until };
  });

  /** One consumer after the other, until the limit or the deadline. `done`: no matching dead letter is left. */
  async function pages(
    { consumer, from }: { consumer?: string | undefined; from?: string | undefined },
    limit: number,
    deadline: number,
    page: (consumer: string, left: number) => Promise<ReplayPage>,
  ): Promise<Pages> {
    const total: Pages = { letters: 0, done: true, complete: true };
    await each(consumer, async (one) => {
      if (total.letters >= limit || (from !== undefined && one < from)) return;
      if (performance.now() >= deadline) {
        total.done = false;
        total.next ??= one;
        return;
      }
      const { letters, done, complete } = await page(one, limit - total.letters);
      total.letters += letters;
      total.done &&= done;
      total.complete &&= complete;
      if (!done) total.next ??= one;
    });
    return { ...total, done: total.done || total.letters >= limit };
  }

  /** The named consumer, or all. One that was not named may have no queues yet. */
  async function each(
    consumer: string | undefined,
    work: (consumer: string) => Promise<void>,
  ): Promise<void> {
    if (consumer !== undefined) return work(consumer);
    for (const one of await consumers.names()) {
      try {
        await work(one);
      } catch (error) {
        if (!(error instanceof NoSuchConsumerError)) throw error;
      }
    }
  }
}

/** A filter is easily forgotten, and dropped events are lost. A limit alone says how many, not which. */
function isMeantByName(body: z.output<typeof picked> & { all?: boolean }): boolean {
  const { all, consumer, portal, error, since, until, id } = body;
  return all === true || [consumer, portal, error, since, until, id].some((one) => one !== undefined);
}

function filterOf(given: {
  id?: string;
  portal?: string;
  error?: string;
  since?: Date;
  until?: Date;
}): DeadLetterFilter {
  const { id, portal: memberId, error: code, since, until } = given;
  return { id, memberId, code, since, until };
}
