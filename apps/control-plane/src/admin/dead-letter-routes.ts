import { NotFoundException } from '@nestjs/common';
import {
  deadLetterDropRequest,
  deadLetterGroupsQuery,
  deadLetterPath,
  deadLetterReplayRequest,
  deadLettersQuery,
  type deadLetterDropResponse,
  type deadLetterGroupsResponse,
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
  type DeadLetterGroup,
  type ReplayPage,
} from '@relay/bus';
import type { PortalQuery } from '@relay/portals';
import type { FastifyInstance } from 'fastify';
import { ConsumerRegistry, type ConsumerRegistryParts } from './consumer-registry.js';

export interface DeadLetterRouteParts extends ConsumerRegistryParts {
  admin: BusAdmin;
  portals: PortalQuery;
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
  const consumers = new ConsumerRegistry(parts);

  api.get('/ops/api/dead-letters', async (request): Promise<Sent<typeof deadLettersResponse>> => {
    const { consumer, limit, after, asOf, ...given } = deadLettersQuery.parse(request.query);
    const found: DeadLetter[] = [];
    const answer: { matching: number; complete: boolean; next?: string } = { matching: 0, complete: true };
    let countedAt: Date | null = new Date();
    await each(consumer, async (one) => {
      const list = await deadLetters.list(one, filterOf(given), limit - found.length, { after, asOf });
      found.push(...list.letters);
      answer.matching += list.matching;
      answer.complete &&= list.complete;
      countedAt = earlier(countedAt, list.countedAt);
      if (consumer !== undefined && list.next !== undefined) answer.next = list.next;
    });
    return { deadLetters: found, ...answer, countedAt };
  });
  api.get('/ops/api/dead-letters/groups', async (request): Promise<Sent<typeof deadLetterGroupsResponse>> => {
    const { consumer, ...given } = deadLetterGroupsQuery.parse(request.query);
    const counted = await Promise.all(
      (consumer === undefined ? await consumers.names() : [consumer]).map((one) =>
        deadLetters.groups(one, filterOf(given)).catch((error: unknown) => {
          // One that was not named may have no queues yet.
          if (consumer === undefined && error instanceof NoSuchConsumerError) return undefined;
          throw error;
        }),
      ),
    );
    const found: DeadLetterGroup[] = [];
    const answer = { matching: 0, complete: true };
    let countedAt: Date | null = new Date();
    for (const one of counted) {
      if (!one) continue;
      found.push(...one.groups);
      answer.matching += one.matching;
      answer.complete &&= one.complete;
      countedAt = earlier(countedAt, one.countedAt);
    }
    const domains = await parts.portals.domainsOf([
      ...new Set(found.flatMap(({ portals }) => portals.flatMap(({ memberId }) => memberId ?? []))),
    ]);
    const groups = found
      .toSorted((one, other) => other.letters - one.letters)
      .map((group) => ({
        ...group,
        portals: group.portals.map((portal) => ({
          ...portal,
          domain: portal.memberId === null ? null : (domains.get(portal.memberId) ?? null),
        })),
      }));
    return { groups, ...answer, countedAt };
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
      const { deadLetters: count, ...page } = await pages({ consumer, from }, limit, deadline, replay);
      return { replayed: count, ...page, until };
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
    const { deadLetters: count, ...page } = await pages({ consumer, from }, limit, Infinity, (one, left) =>
      deadLetters.drop(one, filterOf({ ...given, until }), Math.min(left, MAX_DROPPED)),
    );
    return { dropped: count, ...page, until };
  });

  /** One consumer after the other, until the limit or the deadline. `done`: no matching dead letter is left. */
  async function pages(
    { consumer, from }: { consumer?: string | undefined; from?: string | undefined },
    limit: number,
    deadline: number,
    page: (consumer: string, left: number) => Promise<ReplayPage>,
  ): Promise<Pages> {
    const total: Pages = { deadLetters: 0, done: true, complete: true };
    await each(consumer, async (one) => {
      if (total.deadLetters >= limit || (from !== undefined && one < from)) return;
      if (performance.now() >= deadline) {
        total.done = false;
        total.next ??= one;
        return;
      }
      const { deadLetters: count, done, complete } = await page(one, limit - total.deadLetters);
      total.deadLetters += count;
      total.done &&= done;
      total.complete &&= complete;
      if (!done) total.next ??= one;
    });
    return { ...total, done: total.done || total.deadLetters >= limit };
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

/** Null stands for what is not known yet. */
function earlier(one: Date | null, other: Date | null): Date | null {
  return one && other ? (one < other ? one : other) : null;
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
