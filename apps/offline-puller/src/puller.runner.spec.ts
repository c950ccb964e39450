import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { CONSUMER_LOG, DATABASE_URL, TASK_CONCURRENCY } from '@relay/consumer';
import { type JobRun, JobsModule } from '@relay/jobs';
import { databaseOptions, silentLog } from '@relay/platform';
import { OFFLINE_PULLER } from '@relay/portals';
import { DataSource } from 'typeorm';
import { migratedDatabase, type TestDatabase } from '../../../test/support/database.js';
import { eventually } from '../../../test/support/eventually.js';
import { CatchUp } from './catch-up.js';
import { PullerRunner } from './puller.runner.js';
import { QueuePoller } from './queue-poller.js';
import { PollStateStore } from './poll-state-store.js';

/** Real: PostgreSQL, with the jobs and the lease. Stubbed: what the jobs do. */
describe('a puller', () => {
  let database: TestDatabase;
  let app: TestingModule;
  const caughtUp: string[] = [];
  const polled: string[] = [];

  beforeAll(async () => {
    database = await migratedDatabase();
    app = await Test.createTestingModule({
      imports: [TypeOrmModule.forRoot(databaseOptions(database.url, 'spec')), JobsModule],
      providers: [
        PullerRunner,
        PollStateStore,
        {
          provide: CatchUp,
          useValue: {
            due: async () => new Map(),
            saveRequested: async () => undefined,
            // As at a portal that answers slowly.
            run: ({ job, signal }: JobRun) => {
              caughtUp.push(job.memberId);
              return new Promise((_, reject) =>
                signal.addEventListener('abort', () => reject(signal.reason)),
              );
            },
          },
        },
        { provide: QueuePoller, useValue: { poll: async (memberId: string) => polled.push(memberId) } },
        { provide: CONSUMER_LOG, useValue: silentLog },
        { provide: TASK_CONCURRENCY, useValue: 1 },
        { provide: DATABASE_URL, useValue: database.url },
      ],
    }).compile();
  });
  afterAll(async () => {
    await app?.close();
    await database.drop();
  });

  it('reads queues while portals hold up what is made up for', async () => {
    const source = app.get(DataSource);
    const slow = Array.from({ length: 6 }, (_, at) => `slow${at}`);
    for (const memberId of [...slow, 'm1']) {
      await source.query(
        `INSERT INTO portals.portals (member_id, domain, client_endpoint, state) VALUES ($1, $1, $2, 'installed')`,
        [memberId, `https://${memberId}.test/rest/`],
      );
    }
    await source.query(
      `INSERT INTO portals.tasks (consumer, member_id, kind) SELECT $1, unnest($2::text[]), 'catch-up'`,
      [OFFLINE_PULLER, slow],
    );
    await app.init();
    await eventually(() => expect(caughtUp.length).toBeGreaterThan(0));
    await source.query(`INSERT INTO portals.tasks (consumer, member_id, kind) VALUES ($1, 'm1', 'pull')`, [
      OFFLINE_PULLER,
    ]);
    await eventually(() => expect(polled).toContain('m1'));
    expect(caughtUp.length).toBeLessThan(slow.length);
  });
});
