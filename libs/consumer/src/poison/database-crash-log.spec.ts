import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { silentLog } from '@relay/platform';
import { freshDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { DatabaseCrashLog } from './database-crash-log.js';

describe('the crash log in PostgreSQL', () => {
  let database: TestDatabase;
  const open: DatabaseCrashLog[] = [];

  beforeAll(async () => {
    database = await freshDatabase('libs/bus');
  });
  afterAll(async () => {
    for (const crashLog of open) await crashLog.close();
    await database.drop();
  });

  /** As the next process would open it. */
  function crashLogOf(consumer: string): DatabaseCrashLog {
    const crashLog = new DatabaseCrashLog(database.url, consumer, silentLog);
    open.push(crashLog);
    return crashLog;
  }

  it('counts unfinished batches separately for every portal and consumer', async () => {
    const first = crashLogOf('counting');
    expect([await first.begin('a'), await first.begin('a'), await first.begin('b')]).toEqual([0, 1, 0]);
    expect(await crashLogOf('another').begin('a')).toBe(0);
    expect(await crashLogOf('counting').begin('a')).toBe(2);
  });

  it('no longer counts a batch that has ended, and removes the portal when nothing is suspect', async () => {
    const crashLog = crashLogOf('ending');
    await crashLog.begin('a');
    await crashLog.begin('a');
    await crashLog.end('a', false);
    expect(await crashLog.begin('a')).toBe(1);
    await crashLog.end('a', true);
    expect(await crashLog.begin('a')).toBe(0);
  });

  it('counts consecutive solo batches of one entity, until it ends or another one begins', async () => {
    const crashLog = crashLogOf('alone');
    await crashLog.begin('a');
    const starts = [];
    for (const entity of ['X:1', 'X:1', 'X:1', 'X:2', 'X:2'])
      starts.push(await crashLog.beginSolo('a', entity));
    expect(starts).toEqual([0, 1, 2, 0, 1]);
    await crashLog.end('a', false);
    await crashLog.begin('a');
    expect(await crashLog.beginSolo('a', 'X:2')).toBe(0);
  });
});
