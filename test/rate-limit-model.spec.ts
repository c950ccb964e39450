import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { silentLog } from '@relay/platform';
import fc from 'fast-check';
import type { DataSource } from 'typeorm';
import {
  type Bucket,
  DEFAULT_LIMIT,
  emptyBucket,
  leakBucket,
  ticketDelayMs,
  type RateLimit,
  releaseTicket,
  takeTicket,
  throttleDown,
  type Ticket,
} from '../libs/bitrix24/src/rate-limit/bucket.js';
import { PortalRepository } from '../libs/portals/src/repository/portal-repository.js';
import {
  DatabaseBucket,
  type Ticket as TicketOfSql,
} from '../libs/portals/src/rate-limit/database-bucket.js';
import { PortalLimits } from '../libs/portals/src/rate-limit/portal-limits.js';
import { PortalsDatabase } from '../libs/portals/test/portals-database.js';

/** The in-memory rate limiter of libs/bitrix24 and the distributed one of libs/portals promise the same. */
describe('the buckets of both rate limiters', () => {
  let database: PortalsDatabase;
  let source: DataSource;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
  });
  beforeEach(async () => {
    const webhookUrl = 'https://one.bitrix24.com/rest/1/secret/';
    await new PortalRepository(source, database.box, [], silentLog).registerWebhook({
      memberId: 'm1',
      webhookUrl,
      applicationToken: 'm1',
    });
    await new PortalLimits(source).setLimit('m1', 'usual');
  });
  afterAll(() => database.close());

  async function row(): Promise<Bucket> {
    const [found] = await source.query<Bucket[]>(
      `SELECT places AS tickets, leaked, extract(epoch FROM leaked_at)::float8 * 1000 AS "leakedAtMs", share AS "rateMultiplier",
         refused_place AS "rejectedTicket", bulk_from AS "nextBackgroundAt"
       FROM portals.rate_buckets WHERE member_id = 'm1'`,
    );
    if (!found) throw new Error('no row');
    return found;
  }

  it('computes in SQL what the pure function computes, move by move', async () => {
    const move = fc.record({
      // Mostly at once, so that a queue builds up.
      afterMs: fc.oneof(
        { weight: 8, arbitrary: fc.constant(0) },
        { weight: 4, arbitrary: fc.integer({ min: 0, max: 400 }) },
        { weight: 1, arbitrary: fc.integer({ min: 0, max: 90_000 }) },
        // A clock that is set back.
        { weight: 1, arbitrary: fc.integer({ min: -3_000, max: -1 }) },
      ),
      kind: fc.oneof(
        { weight: 6, arbitrary: fc.constant('interactive' as const) },
        { weight: 4, arbitrary: fc.constant('background' as const) },
        { weight: 2, arbitrary: fc.constant('rejected' as const) },
        { weight: 1, arbitrary: fc.constant('released' as const) },
      ),
    });
    const anyLimit = fc.oneof(
      fc.constant(DEFAULT_LIMIT),
      fc.record({ rate: fc.integer({ min: 1, max: 5 }), burst: fc.integer({ min: 1, max: 30 }) }),
    );
    await fc.assert(
      fc.asyncProperty(
        anyLimit,
        fc.array(move, { maxLength: 60, size: 'max' }),
        async (given: RateLimit, moves) => {
          const bucket = new DatabaseBucket(source, 'm1', silentLog);
          let nowMs = Date.UTC(2026, 0, 1);
          await source.query(
            `UPDATE portals.rate_buckets SET places = 0, leaked = 0, share = 1, refused_place = 0, bulk_from = 0,
             leaked_at = to_timestamp($1::float8 / 1000), rate = $2, burst = $3 WHERE member_id = 'm1'`,
            [nowMs, given.rate, given.burst],
          );
          let expected: Bucket = emptyBucket(nowMs);
          const answers: [TicketOfSql, Ticket][] = [];
          for (const { afterMs, kind } of moves) {
            nowMs += afterMs;
            const at = new Date(nowMs);
            if (kind === 'rejected') {
              expected = throttleDown(expected, given, nowMs);
              await bucket.throttleDown(at);
            } else if (kind === 'released') {
              expected = releaseTicket(expected, Math.max(expected.tickets, 1));
              await bucket.release(expected.tickets + 1);
            } else {
              const asked = takeTicket(expected, given, kind, nowMs);
              expected = asked.bucket;
              answers.push([await bucket.take(kind, at), asked.taken]);
            }
            await expect(row()).resolves.toEqual(close(expected));
          }
          for (const [inSql, inTypeScript] of answers) {
            expect(ticketOf(inSql)).toBe(ticketOf(inTypeScript));
            // Rounded up to a millisecond, from numbers that may differ by the last digits.
            expect(Math.abs(waitOf(inSql) - waitOf(inTypeScript))).toBeLessThanOrEqual(1);
          }
        },
      ),
      { numRuns: 40 },
    );
  }, 60_000);

  it('give a ticket the same delay, as of now', async () => {
    const bucket = new DatabaseBucket(source, 'm1', silentLog);
    for (let index = 0; index < 80; index += 1) await bucket.take('interactive');
    await bucket.throttleDown();
    for (const ticket of [1, 40, 60, 80]) {
      const before = Date.now();
      const waitMs = await bucket.ticketDelayMs(ticket);
      const model = await row();
      const [most, least] = [before, Date.now()].map((nowMs) =>
        ticketDelayMs(leakBucket(model, DEFAULT_LIMIT, nowMs), DEFAULT_LIMIT, ticket),
      );
      expect(waitMs).toBeGreaterThanOrEqual(Number(least) - 5);
      expect(waitMs).toBeLessThanOrEqual(Number(most) + 5);
    }
  });
});

/** Equal but for the last digits: both compute in floating point. */
function close({ leaked, rateMultiplier, nextBackgroundAt, rejectedTicket, ...exact }: Bucket): unknown {
  return {
    ...exact,
    leaked: expect.closeTo(leaked, 5),
    rateMultiplier: expect.closeTo(rateMultiplier, 5),
    nextBackgroundAt: expect.closeTo(nextBackgroundAt, 5),
    rejectedTicket: expect.closeTo(rejectedTicket, 5),
  };
}

function ticketOf(taken: Ticket | TicketOfSql): number | undefined {
  return taken.granted ? taken.ticket : undefined;
}

function waitOf(taken: Ticket | TicketOfSql): number {
  return 'retryAfterMs' in taken ? taken.retryAfterMs : taken.waitMs;
}
