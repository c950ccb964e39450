import type { Log } from '@relay/platform';
import pg from 'pg';
import { shards } from '../shard.js';

// A host that vanishes, or a process that is frozen, says no goodbye: the server must end the session by itself, so
// that another process gets the shards. Ours polls far more often than this.
const SETTINGS = [
  'SET idle_session_timeout = 30000',
  'SET tcp_keepalives_idle = 10',
  'SET tcp_keepalives_interval = 5',
  'SET tcp_keepalives_count = 3',
];

/** A session that has not renewed its leases for so long stands still, and is ended by whoever waits for its shards. */
const LEASE_SECONDS = 30;
const RENEW_EVERY_MS = 5_000;
const END_TIMEOUT_MS = 5_000;
/** PostgreSQL's insufficient_privilege. */
const NOT_PERMITTED = '42501';

/**
 * Whether the session of a lease is still there. Of another role's session the server shows no start: then it passes for the
 * one that is meant.
 */
export const leaseIsHeld = (lease: string): string => `EXISTS (
    SELECT FROM pg_stat_activity AS holder
    WHERE holder.pid = ${lease}.pid AND holder.usesysid = ${lease}.role
      AND coalesce(holder.backend_start, ${lease}.backend_start) = ${lease}.backend_start
  )`;

const SELF = 'SELECT pid, backend_start, usesysid FROM pg_stat_activity WHERE pid = pg_backend_pid()';

/** What versions before the leases held a shard by. */
const lockKey = (consumer: string, shard: string): string =>
  `hashtextextended('b24.bus.' || ${consumer}::text || '.' || ${shard}, 0)`;

// Whatever comes of it: a process of such a version keeps off the shards that are locked.
const LOCK_SQL = `SELECT pg_try_advisory_lock(${lockKey('$1', 'shard')}) FROM unnest($2::int[]) AS shard`;

// Who is there is read once for the statement, and it may then wait for another claim: a row that is not the one seen at its
// start belongs to somebody who came after that. A lock of another role than the services' own, which is free to anybody, says nothing. In the order of the shards, so
// that two who claim at once wait for each other and not in a circle.
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

// Its session is not only forbidden to go on, but gone: so none of what it was at can come after what its successor does.
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

// A statement of its own, because only its snapshot is younger than the lease: in the claim's, the last rows that the
// former owner took would not be seen yet.
const FREE_SQL = `UPDATE bus.messages SET taken = false WHERE consumer = $1 AND shard = ANY ($2::int[]) AND taken`;

/** Makes the session the owner of those of the shards that nobody owns. @returns them, in no order */
export async function claimLeases(
  client: pg.ClientBase,
  consumer: string,
  wanted: readonly number[],
): Promise<number[]> {
  const { rows } = await client.query<{ shard: number }>(CLAIM_SQL, [consumer, wanted, LEASE_SECONDS]);
  return rows.map(({ shard }) => shard);
}

/**
 * Rows that say which session serves a shard: one at a time, until that session ends or stands still. An advisory lock would
 * say so too, but any user of the database may take one.
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
   * Keeps what is ours, claims what nobody else holds, and frees what a former owner had taken.
   * @returns what is newly ours
   * @throws when another process has what was ours
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
      // A session of another role than this one's, as during a change of roles: the server ends it when it is idle.
      if (!(error instanceof pg.DatabaseError) || error.code !== NOT_PERMITTED) throw error;
      if (!this.mayNotEnd)
        this.log.warn({ consumer: this.consumer }, 'the owner of shards stands still and may not be ended');
      this.mayNotEnd = true;
    }
  }
}
