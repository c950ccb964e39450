import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { databaseOptions } from '@relay/platform';
import { DataSource } from 'typeorm';
import { freshDatabase, type TestDatabase } from '../../../test/support/database.js';
import { PortalJobs } from './portal-jobs.js';

const consumer = 'smart-process-sync';
const kinds = ['backfill', 'reconcile'];
const hours = (count: number): number => count * 3_600;

/** Real: PostgreSQL. */
describe('the freshness of what jobs make', () => {
  let database: TestDatabase;
  let source: DataSource;
  let jobs: PortalJobs;

  beforeAll(async () => {
    database = await freshDatabase('libs/portals');
    source = await new DataSource(databaseOptions(database.url, 'spec')).initialize();
    jobs = new PortalJobs(source);
  });
  afterAll(async () => {
    await source.destroy();
    await database.drop();
  });

  async function portal(memberId: string, state = 'installed'): Promise<void> {
    await source.query(
      `INSERT INTO portals.portals (member_id, domain, client_endpoint, state, scope, status)
       VALUES ($1, $1, 'https://portal.example/rest/', $2, '{crm}', 'F')`,
      [memberId, state],
    );
  }

  async function job(memberId: string, kind: string, state: string, hoursAgo: number): Promise<void> {
    await source.query(
      `INSERT INTO portals.tasks (consumer, member_id, kind, state, requested_at, ended_at)
       VALUES ($1, $2, $3, $4, now() - make_interval(hours => $5),
         CASE WHEN $4 IN ('done', 'failed') THEN now() - make_interval(hours => $5) END)`,
      [consumer, memberId, kind, state, hoursAgo],
    );
  }

  async function lagHours(): Promise<{ lag: number; failed: number }> {
    const { lagSeconds, failed } = await jobs.freshness(consumer, kinds);
    return { lag: Math.round(lagSeconds / hours(1)), failed };
  }

  it('is that of the installed portal for which one was done longest ago; the last one that ended says whether it failed', async () => {
    expect(await jobs.freshness(consumer, kinds)).toEqual({ lagSeconds: 0, failed: 0 });
    await portal('never-asked');
    await portal('well');
    await job('well', 'backfill', 'done', 50);
    await job('well', 'reconcile', 'done', 2);
    expect(await lagHours()).toEqual({ lag: 2, failed: 0 });

    await portal('failing');
    await job('failing', 'backfill', 'done', 30);
    await job('failing', 'reconcile', 'failed', 6);
    await job('failing', 'count', 'done', 1);
    expect(await lagHours()).toEqual({ lag: 30, failed: 1 });
    await job('failing', 'reconcile', 'done', 1);
    expect(await lagHours()).toEqual({ lag: 2, failed: 0 });

    await portal('not-filled-yet');
    await job('not-filled-yet', 'backfill', 'waiting', 9);
    expect(await lagHours()).toEqual({ lag: 9, failed: 0 });

    await portal('away', 'uninstalled');
    await job('away', 'backfill', 'failed', 700);
    expect(await lagHours()).toEqual({ lag: 9, failed: 0 });
  });
});
