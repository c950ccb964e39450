import type pg from 'pg';
import { shards } from '../shard.js';

// A host that vanishes, or a process that is frozen, says no goodbye: the server must end the session by itself, so
// that another process gets the locks. Ours polls far more often than this.
const settings = [
  'SET idle_session_timeout = 30000',
  'SET tcp_keepalives_idle = 10',
  'SET tcp_keepalives_interval = 5',
  'SET tcp_keepalives_count = 3',
];

const claimSql = `
  SELECT shard FROM unnest($2::int[]) AS shard
  WHERE pg_try_advisory_lock(hashtextextended('b24.bus.' || $1::text || '.' || shard, 0))`;

// A statement of its own, because only its snapshot is younger than the lock: in the claim's, the last rows that the
// former owner took would not be seen yet.
const freeSql = `UPDATE bus.messages SET taken = false WHERE consumer = $1 AND shard = ANY ($2::int[]) AND taken`;

/** Advisory locks of a session: one process at a time serves a shard, and when its connection ends the next one does. */
export class ShardLocks {
  readonly #owned = new Set<number>();

  constructor(
    private readonly client: pg.Client,
    private readonly consumer: string,
  ) {}

  async prepare(): Promise<void> {
    for (const setting of settings) await this.client.query(setting);
  }

  /** Claims what nobody else holds, and frees what a former owner had taken; returns what is newly ours. */
  async claimMissing(): Promise<number[]> {
    const missing = shards.filter((shard) => !this.#owned.has(shard));
    if (missing.length === 0) return [];
    const { rows } = await this.client.query<{ shard: number }>(claimSql, [this.consumer, missing]);
    const claimed = rows.map(({ shard }) => shard);
    if (claimed.length > 0) await this.client.query(freeSql, [this.consumer, claimed]);
    for (const shard of claimed) this.#owned.add(shard);
    return claimed;
  }
}
