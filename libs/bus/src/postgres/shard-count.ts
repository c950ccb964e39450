import { DatabaseClient, StartupError } from '@relay/platform';
import { SHARD_COUNT } from '../contract/shard.js';

const CONNECT_TIMEOUT_MS = 5_000;

/**
 * The first process stores the shard count, every later one compares: with another count it would look for waiting
 * messages in the wrong shards, and two processes could serve one portal.
 * @throws StartupError when they differ
 */
export async function requireShardCount(databaseUrl: string, count = SHARD_COUNT): Promise<void> {
  const client = new DatabaseClient({
    connectionString: databaseUrl,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  // A connection that breaks while it is being closed must not end the process.
  await client.connect();
  try {
    await client.query('INSERT INTO bus.topology (shards) VALUES ($1) ON CONFLICT DO NOTHING', [count]);
    const { rows } = await client.query<{ shards: number }>('SELECT shards FROM bus.topology');
    const stored = rows[0]?.shards;
    if (stored !== count) {
      throw new StartupError(
        `This installation was set up with ${stored} shards, and this version works with ${count}: run the version that it was set up with until no message waits, then change the row in bus.topology.`,
      );
    }
  } finally {
    await client.end();
  }
}
