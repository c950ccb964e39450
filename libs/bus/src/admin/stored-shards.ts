import type pg from 'pg';
import { SHARD_COUNT } from '../contract/shard.js';
import type { TopologyPart } from './bus-admin.js';

/** The row that every process start compares its shard count with. */
export async function storedShards(database: pg.Pool): Promise<TopologyPart> {
  const { rows } = await database.query<{ shards: number }>('SELECT shards FROM bus.topology');
  const stored = rows[0]?.shards;
  const part = { kind: 'shards', name: `${SHARD_COUNT} shards`, consumer: null } as const;
  if (stored === undefined) return { ...part, state: 'missing', detail: 'no process has started yet' };
  if (stored === SHARD_COUNT) return { ...part, state: 'ok', detail: null };
  return { ...part, state: 'different', detail: `bus.topology says ${stored}` };
}
