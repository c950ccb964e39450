import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { clear, PortalsDatabase } from '../../test/portals-database.js';
import { silentLog } from '@relay/platform';
import { type Admission, sourceOfPage, TokenRequestBudget } from './token-request-budget.js';
import { PendingInstalls, type PendingClaim } from './pending-installs.js';

const made = (): string => randomBytes(8).toString('hex');

const claim = (memberId: string): PendingClaim => ({
  memberId,
  domain: 'acme.example',
  accessToken: made(),
  refreshToken: made(),
});

describe('the budget of token requests for claims', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let here: TokenRequestBudget;
  let there: TokenRequestBudget;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    here = new TokenRequestBudget(source);
    there = new TokenRequestBudget(await database.connect());
  });
  beforeEach(async () => {
    await clear(source);
    await source.query('TRUNCATE portals.claim_exchanges');
    await fill(30, 1_500);
  });
  afterAll(() => database.close());

  /** What comes back begins with the first that is taken. */
  async function fill(burst: number, stock: number): Promise<void> {
    await source.query(
      `UPDATE portals.exchange_budget SET burst = $1, stock = $2, filled_at = clock_timestamp() + interval '1 hour'`,
      [burst, stock],
    );
  }

  async function admitted(times: number, from: () => string): Promise<number> {
    const all = await Promise.all(
      Array.from({ length: times }, (_, number) =>
        (number % 2 === 0 ? here : there).admit({ refreshToken: made(), source: from() }),
      ),
    );
    return all.filter((admission) => admission === 'admitted').length;
  }

  async function one(from = made(), refreshToken = made()): Promise<Admission> {
    return here.admit({ refreshToken, source: from });
  }

  it('is one for all processes, and leaves something to those that wait', async () => {
    const begunAt = performance.now();
    const directly = await admitted(60, made);
    const cameBack = Math.ceil(((performance.now() - begunAt) / 1_000) * 15);
    expect(directly).toBeGreaterThanOrEqual(20);
    expect(directly).toBeLessThanOrEqual(20 + cameBack);
    const waiting = await Promise.all(Array.from({ length: 15 }, () => there.admitWaiting()));
    expect(waiting.filter(Boolean).length).toBeGreaterThanOrEqual(10);
  });

  it('comes back with time', async () => {
    await source.query(
      `UPDATE portals.exchange_budget SET burst = 0, stock = 10, filled_at = clock_timestamp() - interval '1 second'`,
    );
    expect(await admitted(20, made)).toBeGreaterThanOrEqual(5);
    await source.query(
      `UPDATE portals.exchange_budget SET burst = 0, stock = 0, filled_at = clock_timestamp() - interval '1 day'`,
    );
    expect(await admitted(60, made)).toBeGreaterThanOrEqual(20);
    const [row] = await source.query<{ stock: number }[]>('SELECT stock FROM portals.exchange_budget');
    expect(row?.stock).toBeLessThanOrEqual(1_500);
  });

  it('gives a source that has had many what the others leave', async () => {
    for (let round = 0; round < 3; round += 1) {
      await fill(30, 1_500);
      await admitted(20, () => 'flooder');
    }
    await fill(20, 1_500);
    expect([await one('flooder'), await one('another')]).toEqual(['too-many-of-source', 'admitted']);
    await fill(30, 700);
    expect([await one('flooder'), await one('another')]).toEqual(['too-many-of-source', 'admitted']);
    await fill(30, 1_500);
    expect(await one('flooder')).toBe('admitted');
  });

  it('remembers for an hour what was rejected, and nothing that can be read', async () => {
    const token = made();
    expect(await one('a', token)).toBe('admitted');
    await there.noteRejected(token);
    expect([await one('a', token), await one('b', token)]).toEqual(['rejected-before', 'rejected-before']);
    const rows = JSON.stringify(
      await source.query('SELECT encode(proof_hash, $1) FROM portals.claim_exchanges', ['escape']),
    );
    expect(rows).not.toContain(token);
    await source.query(`UPDATE portals.claim_exchanges SET begun_at = begun_at - interval '61 minutes'`);
    expect(await one('a', token)).toBe('admitted');
    await source.query(`UPDATE portals.claim_exchanges SET begun_at = begun_at - interval '61 minutes'`);
    await here.prune();
    await expect(source.query('SELECT FROM portals.claim_exchanges')).resolves.toEqual([]);
  });

  describe('and those that wait for it', () => {
    let pending: PendingInstalls;
    beforeAll(() => {
      pending = new PendingInstalls(source, database.box, silentLog);
    });

    it('take turns: who had the fewest first, then the oldest and the newest', async () => {
      for (let number = 0; number < 10; number += 1) {
        await pending.keep(claim(`many-${number}`), { source: 'many', isDue: true });
      }
      for (let number = 0; number < 4; number += 1) {
        await pending.keep(claim(`m${number}`), { source: `m${number}`, isDue: true });
      }
      const taken: string[] = [];
      await pending.takeDue(6, ({ memberId }) => {
        taken.push(memberId);
        return Promise.resolve('done');
      });
      expect(taken.filter((memberId) => memberId.startsWith('many'))).toHaveLength(2);
      expect(taken.slice(0, 5).toSorted().slice(0, 4)).toEqual(['m0', 'm1', 'm2', 'm3']);
    });

    it('always have a place for a portal of which nothing waits, at the cost of who has the most', async () => {
      await source.query(
        `INSERT INTO portals.pending_installs (member_id, proof_hash, sealed_claim, next_try_at, source)
         SELECT 'f' || n, sha256(n::text::bytea), 'x', now(), sha256(CASE WHEN n < 5000 THEN 'flooder' ELSE n::text END::bytea)
         FROM generate_series(1, 10000) n`,
      );
      await pending.keep(claim('real'), { source: 'real' });
      await expect(pending.keep(claim('real'), { source: 'real' })).resolves.toBeUndefined();
      const rows = await source.query<{ flooder: number; others: number }[]>(
        `SELECT count(*) FILTER (WHERE source = sha256('flooder'))::int AS flooder,
           count(*) FILTER (WHERE source <> sha256('flooder'))::int AS others FROM portals.pending_installs`,
      );
      expect(rows).toEqual([{ flooder: 4_899, others: 5_003 }]);
    });
  });
});

describe('the source of a page', () => {
  it.each([
    ['203.0.113.7', '::ffff:203.0.113.7'],
    ['2001:db8:1:2::1', '2001:0DB8:0001:0002:ffff:ffff:ffff:ffff'],
    ['2001:db8::1', '2001:db8:0:0:9::'],
    ['::1', '::2'],
  ])('is the same for %s and %s', (one, other) => {
    expect(sourceOfPage(one)).toBe(sourceOfPage(other));
  });

  it.each([
    ['203.0.113.7', '203.0.113.8'],
    ['2001:db8:1:2::1', '2001:db8:1:3::1'],
  ])('is another for %s and %s', (one, other) => {
    expect(sourceOfPage(one)).not.toBe(sourceOfPage(other));
  });
});
