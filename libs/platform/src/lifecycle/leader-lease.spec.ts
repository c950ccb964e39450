import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { CuttableLink } from '../../../../test/support/cuttable-link.js';
import { freshDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { eventually } from '../../../../test/support/eventually.js';
import { pause } from '../async/async.js';
import { LeaderLease, type LeaderLeaseOptions } from './leader-lease.js';
import { silentLog } from '../telemetry/logger.js';
import { loadMigrations } from '../database/migrations.js';

const TTL_MS = 1_000;
/** Margin for a take-over on a busy machine. */
const SLACK_MS = 1_500;

async function elected(lease: LeaderLease): Promise<void> {
  await eventually(() => expect(lease.isLeader()).toBe(true));
}

describe('a leader lease', () => {
  let database: TestDatabase;
  let admin: pg.Client;
  const leases: LeaderLease[] = [];
  const links: CuttableLink[] = [];

  beforeAll(async () => {
    database = await freshDatabase(await loadMigrations('libs/platform'));
    admin = new pg.Client({ connectionString: database.url });
    await admin.connect();
  });
  beforeEach(async () => void (await admin.query('TRUNCATE platform.leader_leases')));
  afterEach(async () => {
    await Promise.all(links.splice(0).map((link) => link.cut()));
    await Promise.all(leases.splice(0).map((lease) => lease.stop()));
  });
  afterAll(async () => {
    await admin.end();
    await database.drop();
  });

  function contender(options: Partial<LeaderLeaseOptions> = {}): LeaderLease {
    const lease = new LeaderLease({
      databaseUrl: database.url,
      name: 'spec',
      log: silentLog,
      ttlMs: TTL_MS,
      ...options,
    });
    leases.push(lease);
    lease.start();
    return lease;
  }

  /** A contender with its own link to the database. */
  async function linkedContender(): Promise<{ lease: LeaderLease; link: CuttableLink }> {
    const url = new URL(database.url);
    const link = await CuttableLink.to(Number(url.port || 5432), url.hostname);
    links.push(link);
    url.host = `127.0.0.1:${link.port}`;
    return { lease: contender({ databaseUrl: url.href }), link };
  }

  const leaders = (): LeaderLease[] => leases.filter((lease) => lease.isLeader());

  /** Polls until another contender leads. @returns how often two led at once, and the duration */
  async function takeOver(
    from: LeaderLease,
  ): Promise<{ successor: LeaderLease; tookMs: number; twice: number }> {
    const since = performance.now();
    let twice = 0;
    for (;;) {
      const now = leaders();
      if (now.length > 1) twice += 1;
      const [successor] = now;
      const tookMs = performance.now() - since;
      if (successor && successor !== from) return { successor, tookMs, twice };
      if (tookMs > 20_000) throw new Error('Nobody took over');
      await pause(1);
    }
  }

  it('has one leader of three contenders, for as long as they run', async () => {
    for (let each = 0; each < 3; each += 1) contender();
    await eventually(() => expect(leaders()).toHaveLength(1));
    const [leader] = leaders();
    const until = performance.now() + 2 * TTL_MS;
    while (performance.now() < until) {
      expect(leaders()).toEqual([leader]);
      await pause(20);
    }
  });

  it('has a leader for each name', async () => {
    const one = contender({ name: 'one' });
    const other = contender({ name: 'other' });
    await eventually(() => expect([one.isLeader(), other.isLeader()]).toEqual([true, true]));
  });

  it('passes at once to another contender when the leader stops, with a higher term', async () => {
    const first = contender({ ttlMs: 60_000 });
    await elected(first);
    const { term } = first;
    const second = contender({ ttlMs: 600 });
    expect(second.isLeader()).toBe(false);
    expect(second.term).toBeUndefined();
    await first.stop();
    expect(first.isLeader()).toBe(false);
    await elected(second);
    expect(second.term).toBe(Number(term) + 1);
  });

  it.each(['cut', 'freeze'] as const)(
    'passes on within its lifetime when the connection of the leader is lost (%s), and two never lead at once',
    async (loss) => {
      const { lease: first, link } = await linkedContender();
      await elected(first);
      const { term } = first;
      contender();
      contender();
      await link[loss]();
      const { successor, tookMs, twice } = await takeOver(first);
      expect(twice).toBe(0);
      expect(tookMs).toBeLessThan(TTL_MS + SLACK_MS);
      expect(first.isLeader()).toBe(false);
      expect(successor.term).toBe(Number(term) + 1);
      // It returns as a contender that waits.
      await link.mend();
      expect(leaders()).toEqual([successor]);
    },
  );

  it('expires for a leader whose renewal waits for a lock before others can acquire it', async () => {
    const first = contender();
    await elected(first);
    const blocker = new pg.Client({ connectionString: database.url });
    await blocker.connect();
    try {
      await blocker.query('BEGIN; SELECT FROM platform.leader_leases FOR UPDATE');
      const isLeader = await new Promise<boolean>((resolve) => first.onChange(resolve));
      expect(isLeader).toBe(false);
      // Read without the lock, at the time of the change.
      const { rows } = await admin.query<{ expired: boolean }>(
        `SELECT expires_at <= clock_timestamp() AS expired FROM platform.leader_leases`,
      );
      expect(rows).toEqual([{ expired: false }]);
    } finally {
      await blocker.query('ROLLBACK');
      await blocker.end();
    }
    await elected(first);
  });

  it('has expired at once for a process that was stopped, before any of its timers runs', async () => {
    let standstillMs = 0;
    const first = contender({ clocks: [() => performance.now() + standstillMs] });
    await elected(first);
    standstillMs = TTL_MS;
    expect(first.isLeader()).toBe(false);
    expect(first.term).toBeUndefined();
  });

  it('expires by either clock: one stops in a suspended machine, the other may be set back', async () => {
    const setBack = { byMs: 0 };
    const first = contender({
      clocks: [() => performance.now(), () => Date.now() - setBack.byMs],
    });
    await elected(first);
    setBack.byMs = -TTL_MS;
    expect(first.isLeader()).toBe(false);
    setBack.byMs = 3_600_000;
    await elected(first);
    expect(leaders()).toEqual([first]);
  });

  it('notifies of each change once', async () => {
    const { lease, link } = await linkedContender();
    const changes: boolean[] = [];
    const unsubscribe = lease.onChange((isLeader) => changes.push(isLeader));
    await eventually(() => expect(changes).toEqual([true]));
    await link.cut();
    await eventually(() => expect(changes).toEqual([true, false]));
    await link.mend();
    await eventually(() => expect(changes).toEqual([true, false, true]));
    unsubscribe();
    await lease.stop();
    expect(changes).toEqual([true, false, true]);
  });

  it('keeps one connection while the database hangs', async () => {
    const { lease, link } = await linkedContender();
    await elected(lease);
    link.freeze();
    await eventually(() => expect(lease.isLeader()).toBe(false));
    await link.mend();
    await elected(lease);
    const { rows } = await admin.query<{ open: number }>(
      `SELECT count(*)::int AS open FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'b24-relay leader lease'`,
    );
    expect(rows[0]?.open).toBeLessThanOrEqual(2);
  });

  it('stops in bounded time while the database hangs', async () => {
    const { lease, link } = await linkedContender();
    await elected(lease);
    link.freeze();
    const since = performance.now();
    await lease.stop();
    expect(performance.now() - since).toBeLessThan(TTL_MS + SLACK_MS);
    expect(lease.isLeader()).toBe(false);
  });
});
