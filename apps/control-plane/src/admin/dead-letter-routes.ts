import { NotFoundException } from '@nestjs/common';
import {
  deadLetterDropRequest,
  deadLetterPath,
  deadLetterReplayRequest,
  deadLettersQuery,
  type deadLetterDropResponse,
  type deadLetterReplayResponse,
  type deadLetterResponse,
  type deadLettersResponse,
  type Sent,
} from '@relay/admin-contract';
import {
  NoSuchConsumerError,
  type BusAdmin,
  type DeadLetter,
  type DeadLetterFilter,
  type ReplayPage,
} from '@relay/bus';
import type { FastifyInstance } from 'fastify';
import { KnownConsumers, type KnownConsumersParts } from './known-consumers.js';

export interface DeadLetterRouteParts extends KnownConsumersParts {
  admin: BusAdmin;
}

/** One request replays for about this long; the client repeats it for the rest. */
const PAGE_MS = 5_000;
const MAX_DROPPED = 50_000;

interface Pages extends ReplayPage {
  /** The consumer that the next page goes on with. */
  next?: string | undefined;
}

/** Operator routes for dead letters: in bounded pages, so that no request takes for ever. */
export function addDeadLetterRoutes(api: FastifyInstance, parts: DeadLetterRouteParts): void {
  const { deadLetters } = parts.admin;
  const consumers = new KnownConsumers(parts);

  api.get('/ops/api/dead-letters', async (request): Promise<Sent<typeof deadLettersResponse>> => {
    const { consumer, limit, ...given } = deadLettersQuery.parse(request.query);
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
  api.get(
    '/ops/api/dead-letters/:consumer/:id',
    async (request): Promise<Sent<typeof deadLetterResponse>> => {
      const { consumer, id } = deadLetterPath.parse(request.params);
      const letter = await deadLetters.show(consumer, id);
      if (!letter) throw new NotFoundException(`${consumer} has no dead letter ${id}`);
      return letter;
    },
  );
  api.post(
    '/ops/api/dead-letters/replay',
    async (request): Promise<Sent<typeof deadLetterReplayResponse>> => {
      const {
        consumer,
        rate,
        limit = Infinity,
        from,
        ...given
      } = deadLetterReplayRequest.parse(request.body ?? {});
      // Events that become dead letters during the replay are excluded; the client returns this with the next page.
      const until = given.until ?? new Date();
      const deadline = performance.now() + PAGE_MS;
      const replay = (one: string, left: number): Promise<ReplayPage> => {
        const forMs = Math.max(1, deadline - performance.now());
        return deadLetters.replay(one, filterOf({ ...given, until }), { rate, limit: left, forMs });
      };
      const { letters, ...page } = await pages({ consumer, from }, limit, deadline, replay);
      return { replayed: letters, ...page, until };
    },
  );
  api.post('/ops/api/dead-letters/drop', async (request): Promise<Sent<typeof deadLetterDropResponse>> => {
    const {
      consumer,
      limit = MAX_DROPPED,
      from,
      all: _,
      ...given
    } = deadLetterDropRequest.parse(request.body ?? {});
    const until = given.until ?? new Date();
    const { letters, ...page } = await pages({ consumer, from }, limit, Infinity, (one, left) =>
      deadLetters.drop(one, filterOf({ ...given, until }), Math.min(left, MAX_DROPPED)),
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
