import type pg from 'pg';
import { shardCount } from '../shard.js';
import type { TopologyPart } from './bus-care.js';

/** The row that every start compares with. */
export async function storedShards(database: pg.Pool): Promise<TopologyPart> {
  const { rows } = await database.query<{ shards: number }>('SELECT shards FROM bus.topology');
  const stored = rows[0]?.shards;
  const part = { kind: 'shards', name: `${shardCount} shards`, consumer: null } as const;
  if (stored === undefined) return { ...part, state: 'missing', detail: 'no process has started yet' };
  if (stored === shardCount) return { ...part, state: 'ok', detail: null };
  return { ...part, state: 'different', detail: `bus.topology says ${stored}` };
}
