import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PortalJobs } from '@relay/jobs';
import { databaseOptions, loadMigrations, silentLog } from '@relay/platform';
import { EventBindings, EventGaps, PORTAL_ENTITIES, PortalQuery } from '@relay/portals';
import { DataSource } from 'typeorm';
import { freshDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { CONSUMER } from '../smart-process-types/settings.js';
import { PortalSyncStateStore } from './portal-sync-state-store.js';
import { Schedule } from './schedule.js';

const memberId = 'm1';

/** Real: PostgreSQL, with portals, gaps and jobs. */
describe('the schedule', () => {
  let database: TestDatabase;
  let source: DataSource;
  let schedule: Schedule;

  beforeAll(async () => {
    database = await freshDatabase(await loadMigrations());
    source = await new DataSource(databaseOptions(database.url, 'spec', PORTAL_ENTITIES)).initialize();
    schedule = new Schedule(
      new PortalQuery(source),
      new EventBindings(source),
      new EventGaps(source),
      new PortalSyncStateStore(source),
      new PortalJobs(source),
      silentLog,
    );
    await source.query(
      `INSERT INTO portals.portals (member_id, domain, client_endpoint, state, scope, status, installed_at)
       VALUES ($1, $1, 'https://portal.example/rest/', 'installed', '{crm}', 'F', now() - interval '1 hour')`,
      [memberId],
    );
  });
  afterAll(async () => {
    await source?.destroy();
    await database?.drop();
  });

  /** @returns kinds of the jobs that a sweep requests, all of which are done after that */
  async function sweep(): Promise<string[]> {
    await schedule.sweep();
    const [jobs] = await source.query<[{ kind: string }[], number]>(
      `UPDATE portals.tasks SET state = 'done', ended_at = now()
       WHERE consumer = $1 AND state = 'waiting' RETURNING kind`,
      [CONSUMER],
    );
    return jobs.map(({ kind }) => kind);
  }

  it('compares a portal once after each time whose events were missed', async () => {
    const gaps = new EventGaps(source);
    expect(await sweep()).toEqual(['complete']);
    for (let round = 0; round < 2; round += 1) {
      await gaps.begin(memberId, 'PAYMENT_REQUIRED');
      await source.query(
        `UPDATE portals.portals SET state = 'suspended', suspended_reason = 'PAYMENT_REQUIRED',
           suspended_until = now() + interval '1 hour'`,
      );
      expect(await sweep()).toEqual([]);
      await source.query(
        `UPDATE portals.portals SET state = 'installed', suspended_reason = NULL, suspended_until = NULL`,
      );
      expect(await sweep()).toEqual(['reconcile']);
      expect(await sweep()).toEqual([]);
      // Gaps of one portal end an hour apart at least (`EventGaps`).
      await source.query(
        `UPDATE portals.event_gaps SET began_at = began_at - interval '2 hours', ended_at = ended_at - interval '2 hours'`,
      );
    }
  });
});
