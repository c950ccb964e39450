import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';

const root = join(import.meta.dirname, '..');

/** Without the server that this run has; what specs of this run share is not that of another. */
function node(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { ...process.env };
  delete env['DATABASE_URL'];
  delete env['RELAY_TEST_RUN'];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: root, env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

const USE_DATABASE = `
  import pg from 'pg';
  import { findSomeDatabase } from './test/support/services.mjs';
  const { description, env, stop } = await findSomeDatabase('postgres://postgres@127.0.0.1:1/postgres');
  const client = new pg.Client({ connectionString: env.DATABASE_URL });
  await client.connect();
  const { rows } = await client.query('SELECT 1 AS one');
  await client.end();
  await stop();
  const isGone = await new pg.Client({ connectionString: env.DATABASE_URL }).connect().then(() => false, () => true);
  console.log(JSON.stringify({ description, rows, isGone }));
  process.exit(3);
`;

const INTERRUPTED = `
  import pg from 'pg';
  import { findSomeDatabase } from './test/support/services.mjs';
  const { env } = await findSomeDatabase('postgres://postgres@127.0.0.1:1/postgres');
  const client = new pg.Client({ connectionString: env.DATABASE_URL });
  await client.connect();
  const { rows } = await client.query("SELECT current_setting('data_directory') AS folder");
  await client.end();
  console.log(rows[0].folder);
  setInterval(() => undefined, 1_000);
  process.kill(process.pid, 'SIGINT');
`;

describe('npm run jest', () => {
  it('has a database of its own where none answers, for as long as it runs', async () => {
    const { code, stdout } = await node('--input-type=module', '--eval', USE_DATABASE);
    expect(JSON.parse(stdout)).toEqual({
      description: 'PostgreSQL of this run',
      rows: [{ one: 1 }],
      isGone: true,
    });
    expect(code).toBe(3);
  });

  it('leaves nothing of that database when it is interrupted', async () => {
    const { code, stdout } = await node('--input-type=module', '--eval', INTERRUPTED);
    const folder = dirname(stdout.trim());
    expect(basename(folder)).toMatch(/^relay-postgres-/);
    expect([code, existsSync(folder)]).toEqual([130, false]);
  });

  it('passes its arguments to Jest, gives specs a database, and ends with the exit code of Jest', async () => {
    const kit = await node('scripts/jest.mjs', 'libs/testing/src/hostile-data', '--testNamePattern', 'half');
    expect(kit.stderr).toContain('1 passed');
    expect(kit.code).toBe(0);
    expect(await node('scripts/jest.mjs', 'no/such/spec')).toMatchObject({ code: 1 });
  });
});
