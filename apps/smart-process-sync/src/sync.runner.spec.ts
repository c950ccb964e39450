import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { CONSUMER_LOG, DATABASE_URL, TASK_CONCURRENCY } from '@relay/consumer';
import { JobsModule } from '@relay/jobs';
import { databaseOptions, loadMigrations, silentLog } from '@relay/platform';
import { freshDatabase, type TestDatabase } from '../../../test/support/database.js';
import { eventually } from '../../../test/support/eventually.js';
import { Backfill } from './backfill/backfill.js';
import { Reconciliation } from './reconcile/reconciliation.js';
import { Schedule } from './schedule/schedule.js';
import { SyncRunner } from './sync.runner.js';
import { CastFailures } from './views/cast-failures.js';
import { ViewSynchronizer } from './views/view-synchronizer.js';

interface Process {
  app: TestingModule;
  sweeps: number;
  guards: number;
}

/** Real: PostgreSQL, with the jobs and the lease. Stubbed: what the schedule and the jobs do. */
describe('the schedule of several processes', () => {
  let database: TestDatabase;
  const running: TestingModule[] = [];

  beforeAll(async () => {
    database = await freshDatabase(await loadMigrations());
  });
  afterEach(async () => void (await Promise.all(running.splice(0).map((app) => app.close()))));
  afterAll(() => database.drop());

  async function start(): Promise<Process> {
    const started: Omit<Process, 'app'> = { sweeps: 0, guards: 0 };
    const app = await Test.createTestingModule({
      imports: [TypeOrmModule.forRoot(databaseOptions(database.url, 'spec')), JobsModule],
      providers: [
        SyncRunner,
        { provide: Schedule, useValue: { sweep: async () => void (started.sweeps += 1) } },
        {
          provide: ViewSynchronizer,
          useValue: {
            guardOld: async () => {
              started.guards += 1;
              return 'done';
            },
          },
        },
        { provide: Backfill, useValue: {} },
        { provide: Reconciliation, useValue: {} },
        { provide: CastFailures, useValue: {} },
        { provide: CONSUMER_LOG, useValue: silentLog },
        { provide: TASK_CONCURRENCY, useValue: 1 },
        { provide: DATABASE_URL, useValue: database.url },
      ],
    }).compile();
    running.push(app);
    await app.init();
    return Object.assign(started, { app });
  }

  it('is swept by one of them, and by the next when that one ends; each guards its views', async () => {
    const first = await start();
    await eventually(() => expect(first.sweeps).toBeGreaterThan(0));
    const second = await start();
    await eventually(() => expect(second.guards).toBe(1));
    const before = first.sweeps;
    await eventually(() => expect(first.sweeps).toBeGreaterThan(before));
    expect(second.sweeps).toBe(0);
    await first.app.close();
    const after = first.sweeps;
    await eventually(() => expect(second.sweeps).toBeGreaterThan(0));
    expect(first.sweeps).toBe(after);
    expect(first.guards).toBe(1);
  }, 60_000);
});
