import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freshDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { requireShardCount } from './shared-tables.js';

describe('the shard count', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await freshDatabase('libs/bus');
  });
  afterAll(() => database.drop());

  it('is stored by the first process, and checked at every start', async () => {
    await Promise.all([requireShardCount(database.url, 16), requireShardCount(database.url, 16)]);
    await requireShardCount(database.url, 16);
    await expect(requireShardCount(database.url, 8)).rejects.toThrow(
      'set up with 16 shards, and this version works with 8',
    );
    // A rejected start has changed nothing.
    await requireShardCount(database.url, 16);
  });
});
