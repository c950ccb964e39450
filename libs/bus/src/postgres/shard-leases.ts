import type { Log } from '@relay/platform';
import pg from 'pg';
import { shards } from '../contract/shard.js';

// A lost host or a frozen process does not close its connection: the server must end the session by itself, so that
// another process gets the shards. This session polls far more often than this timeout.
const SETTINGS = [
  'SET idle_session_timeout = 30000',
  'SET tcp_keepalives_idle = 10',
  'SET tcp_keepalives_interval = 5',
  'SET tcp_keepalives_count = 3',
];

/**
 * A session that has not renewed its leases for this long is frozen; a process that waits for its shards terminates
 * it.
 */
const LEASE_SECONDS = 30;
const RENEW_EVERY_MS = 5_000;
const END_TIMEOUT_MS = 5_000;
/** PostgreSQL's insufficient_privilege. */
const NOT_PERMITTED = '42501';

/**
 * Whether the session of a lease still exists. For another role's session the server hides the start time: it is then
 * taken as the session of the lease.
 */
export const leaseIsHeld = (lease: string): string => `EXISTS (
    SELECT FROM pg_stat_activity AS holder
    WHERE holder.pid = ${lease}.pid AND holder.usesysid = ${lease}.role
      AND coalesce(holder.backend_start, ${lease}.backend_start) = ${lease}.backend_start
  )`;

const SELF = 'SELECT pid, backend_start, usesysid FROM pg_stat_activity WHERE pid = pg_backend_pid()';

/** The advisory lock by which versions before the leases held a shard. */
const lockKey = (consumer: string, shard: string): string =>
  `hashtextextended('b24.bus.' || ${consumer}::text || '.' || ${shard}, 0)`;

// Taken whether or not it succeeds: a process of such a version skips locked shards.
const LOCK_SQL = `SELECT pg_try_advisory_lock(${lockKey('$1', 'shard')}) FROM unnest($2::int[]) AS shard`;

// The list of sessions is read once per statement, which may then wait for another claim: a row that changed since the
// statement began belongs to a session that started after that. A lock held by another role than the services' own
// proves nothing, because anybody may take one. Rows are locked in shard order, so that two concurrent claims cannot
// deadlock.
const CLAIM_SQL = `
  WITH self AS (${SELF}), locked AS MATERIALIZED (
    SELECT l.classid::bigint << 32 | l.objid::bigint AS key
    FROM pg_locks AS l JOIN pg_stat_activity AS holder USING (pid) JOIN pg_roles AS r ON r.oid = holder.usesysid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid <> pg_backend_pid()
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (r.oid = (SELECT usesysid FROM self) OR r.rolsuper)
  ), free AS (
    SELECT wanted.shard FROM unnest($2::int[]) AS wanted (shard)
    WHERE NOT EXISTS (
        SELECT FROM bus.shard_leases AS l
        WHERE l.consumer = $1 AND l.shard = wanted.shard AND ${leaseIsHeld('l')}
      )
      AND ${lockKey('$1', 'wanted.shard')} NOT IN (SELECT key FROM locked)
  )
  INSERT INTO bus.shard_leases AS l (consumer, shard, pid, backend_start, role, expires_at)
  SELECT $1, shard, pid, backend_start, usesysid, clock_timestamp() + $3 * interval '1 second'
  FROM free, self ORDER BY shard
  ON CONFLICT (consumer, shard) DO UPDATE
  SET pid = excluded.pid, backend_start = excluded.backend_start, role = excluded.role,
      expires_at = excluded.expires_at
  WHERE NOT ${leaseIsHeld('l')} AND EXISTS (
    SELECT FROM bus.shard_leases AS seen
    WHERE (seen.consumer, seen.shard, seen.pid, seen.backend_start) = (l.consumer, l.shard, l.pid, l.backend_start)
  )
  RETURNING l.shard`;

// The session is terminated, not only forbidden to continue: nothing that it had in progress can complete after its
// successor starts.
const END_EXPIRED_SQL = `
  SELECT pg_terminate_backend(pid, ${END_TIMEOUT_MS}) FROM (
    SELECT DISTINCT pid FROM bus.shard_leases AS l
    WHERE consumer = $1 AND expires_at <= clock_timestamp() AND pid <> pg_backend_pid() AND ${leaseIsHeld('l')}
  ) AS expired`;

const RENEW_SQL = `
  WITH self AS (${SELF}), mine AS (
    SELECT l.shard FROM bus.shard_leases AS l JOIN self USING (pid, backend_start)
    WHERE l.consumer = $1 ORDER BY l.shard FOR UPDATE OF l
  )
  UPDATE bus.shard_leases AS l SET expires_at = clock_timestamp() + $2 * interval '1 second'
  FROM mine WHERE l.consumer = $1 AND l.shard = mine.shard
  RETURNING l.shard`;

// A separate statement, because only its snapshot is newer than the lease: the claim's snapshot would miss the last
// rows that the former owner took.
const FREE_SQL = `UPDATE bus.messages SET taken = false WHERE consumer = $1 AND shard = ANY ($2::int[]) AND taken`;

/** Claims those of the shards that nobody owns. @returns them, in no order */
export async function claimLeases(
  client: pg.ClientBase,
  consumer: string,
  wanted: readonly number[],
): Promise<number[]> {
  const { rows } = await client.query<{ shard: number }>(CLAIM_SQL, [consumer, wanted, LEASE_SECONDS]);
  return rows.map(({ shard }) => shard);
}

/**
 * Lease rows that record which session serves a shard: one at a time, until that session ends or freezes. An advisory
 * lock would do so too, but any user of the database may take one.
 */
export class ShardLeases {
  private readonly owned = new Set<number>();
  private renewedAt = -Infinity;
  private mayNotEnd = false;

  constructor(
    private readonly client: pg.ClientBase,
    private readonly consumer: string,
    private readonly log: Log,
    private readonly now: () => number = () => performance.now(),
  ) {}

  async prepare(): Promise<void> {
    for (const setting of SETTINGS) await this.client.query(setting);
  }

  /**
   * Renews the leases held, claims free ones, and frees the rows that a former owner had taken.
   * @returns the newly claimed shards
   * @throws when another process holds one of the leases of this one
   */
  async keep(): Promise<number[]> {
    await this.renew();
    const missing = shards.filter((shard) => !this.owned.has(shard));
    if (missing.length === 0) return [];
    await this.endExpired();
    await this.client.query(LOCK_SQL, [this.consumer, missing]);
    const claimed = await claimLeases(this.client, this.consumer, missing);
    if (claimed.length > 0) await this.client.query(FREE_SQL, [this.consumer, claimed]);
    for (const shard of claimed) this.owned.add(shard);
    return claimed;
  }

  private async renew(): Promise<void> {
    if (this.owned.size === 0 || this.now() - this.renewedAt < RENEW_EVERY_MS) return;
    const { rows } = await this.client.query(RENEW_SQL, [this.consumer, LEASE_SECONDS]);
    if (rows.length < this.owned.size) throw new Error('Another process has taken over shards of this one');
    this.renewedAt = this.now();
  }

  private async endExpired(): Promise<void> {
    try {
      await this.client.query(END_EXPIRED_SQL, [this.consumer]);
    } catch (error) {
      // The session belongs to another role, as during a change of roles: the server ends it when it is idle.
      if (!(error instanceof pg.DatabaseError) || error.code !== NOT_PERMITTED) throw error;
      if (!this.mayNotEnd)
        this.log.warn(
          { event: 'bus.shards.owner_stalled', consumer: this.consumer },
          'the owner of some shards is frozen, and this role may not end its session',
        );
      this.mayNotEnd = true;
    }
  }
}
