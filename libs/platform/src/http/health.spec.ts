import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { CuttableLink } from '../../../../test/support/cuttable-link.js';
import { freshDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { eventually } from '../../../../test/support/eventually.js';
import { checkDatabase, closeDatabaseChecks } from './health.js';

/** Time limit of a check, plus a margin for a busy machine. */
const LIMIT_MS = 2_000 + 1_500;

describe('the readiness check of the database', () => {
  let database: TestDatabase;
  let admin: pg.Client;
  let link: CuttableLink;
  let url: string;

  beforeAll(async () => {
    database = await freshDatabase();
    admin = new pg.Client({ connectionString: database.url });
    await admin.connect();
    const direct = new URL(database.url);
    link = await CuttableLink.to(Number(direct.port || 5432), direct.hostname);
    direct.host = `127.0.0.1:${link.port}`;
    url = direct.href;
  });
  afterEach(async () => {
    await link.mend();
    await closeDatabaseChecks();
  });
  afterAll(async () => {
    await admin.end();
    await link.cut();
    await database.drop();
  });

  async function sessions(): Promise<number[]> {
    const { rows } = await admin.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'b24-relay readiness'`,
    );
    return rows.map(({ pid }) => pid);
  }

  it('uses one connection for all probes, and closes it at the shutdown', async () => {
    await expect(checkDatabase(url)).resolves.toEqual({ healthy: true });
    const first = await sessions();
    expect(first).toHaveLength(1);
    for (let times = 0; times < 5; times += 1) {
      await Promise.all([checkDatabase(url), checkDatabase(url), checkDatabase(url)]);
    }
    await expect(sessions()).resolves.toEqual(first);
    await closeDatabaseChecks();
    await eventually(async () => expect(await sessions()).toEqual([]));
  });

  it('answers within its limit while the database hangs, and opens no further connections', async () => {
    await checkDatabase(url);
    link.freeze();
    for (let round = 0; round < 3; round += 1) {
      const since = performance.now();
      const answers = await Promise.all(Array.from({ length: 5 }, () => checkDatabase(url)));
      expect(performance.now() - since).toBeLessThan(LIMIT_MS);
      for (const answer of answers) expect(answer).toMatchObject({ healthy: false });
    }
    expect((await sessions()).length).toBeLessThanOrEqual(1);
    await link.mend();
    await eventually(async () => expect(await checkDatabase(url)).toEqual({ healthy: true }));
  });

  it('connects again after the database has ended its connection', async () => {
    await checkDatabase(url);
    const [pid] = await sessions();
    await admin.query('SELECT pg_terminate_backend($1, 5000)', [pid]);
    await eventually(async () => expect(await checkDatabase(url)).toEqual({ healthy: true }));
    await expect(sessions()).resolves.toHaveLength(1);
  });

  it('reports why a database that rejects the login is not ready', async () => {
    const missing = new URL(database.url);
    missing.pathname = '/there_is_no_such_database';
    await expect(checkDatabase(missing.href)).resolves.toEqual({
      healthy: false,
      reason: 'The database named in DATABASE_URL does not exist: create it first.',
    });
  });
});
