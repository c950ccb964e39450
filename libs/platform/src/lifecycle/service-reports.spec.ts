import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type pg from 'pg';
import { freshDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { eventually } from '../../../../test/support/eventually.js';
import { databasePool } from '../database/database.js';
import { silentLog } from '../telemetry/logger.js';
import { listServiceProcesses, type ReportDatabase, ServiceReporter } from './service-reports.js';

/** Real: PostgreSQL. */
describe('the report of a service', () => {
  let database: TestDatabase;
  let pool: pg.Pool;
  let reports: ReportDatabase;
  const reporters: ServiceReporter[] = [];

  beforeAll(async () => {
    database = await freshDatabase('libs/platform');
    pool = databasePool({ connectionString: database.url });
    reports = {
      // As TypeORM's DataSource answers: rows, without their counts.
      query: async (sql: string, parameters: unknown[]) => (await pool.query(sql, parameters)).rows,
    };
  });
  afterEach(async () => {
    await Promise.all(reporters.splice(0).map((reporter) => reporter.stop()));
  });
  afterAll(async () => {
    await pool.end();
    await database.drop();
  });

  function start(service: string, state: object): ServiceReporter {
    const reporter = new ServiceReporter({
      service,
      opsPort: 9100,
      database: reports,
      state: () => state,
      log: silentLog,
    });
    reporters.push(reporter);
    reporter.start();
    return reporter;
  }

  it('shows every process of that service with its state and address', async () => {
    start('gateway', { journal: 1 });
    start('gateway', { journal: 2 });
    start('control-plane', {});
    await eventually(async () => {
      const found = await listServiceProcesses(reports, 'gateway');
      expect(found.map(({ state }) => state)).toEqual(
        expect.arrayContaining([{ journal: 1 }, { journal: 2 }]),
      );
      expect(found).toHaveLength(2);
      for (const { pid, address } of found) {
        expect([pid, address]).toEqual([process.pid, expect.stringMatching(/^http:\/\/[\d.]+:9100$/)]);
      }
    });
  });

  it('goes with the process that stops', async () => {
    const reporter = start('gateway', {});
    await eventually(async () => expect(await listServiceProcesses(reports, 'gateway')).toHaveLength(1));
    await reporter.stop();
    await expect(listServiceProcesses(reports, 'gateway')).resolves.toEqual([]);
  });

  it('of a killed process is not shown for long', async () => {
    start('gateway', {});
    await eventually(async () => expect(await listServiceProcesses(reports, 'gateway')).toHaveLength(1));
    await pool.query(`UPDATE platform.service_processes SET reported_at = now() - interval '31 seconds'`);
    await expect(listServiceProcesses(reports, 'gateway')).resolves.toEqual([]);
  });
});
