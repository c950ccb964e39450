import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { freePort } from '../process/ports.js';
import { ResourceStack } from '../process/resource-stack.js';
import { preparePostgresDataDir } from './postgres-data-dir.js';
import { startPostgres } from './server.js';

/** Real: PostgreSQL's programs, its files, its ports. */
describe("the data folder's PostgreSQL", () => {
  let folder: string;
  let parts: ResourceStack;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'relay-postgres-spec-'));
    chmodSync(folder, 0o755);
    parts = new ResourceStack();
  });
  afterEach(async () => {
    await parts.close();
    const place = join(folder, 'postgres');
    if (existsSync(place)) removeOutside(place);
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  function start(choosePort: () => Promise<number>): Promise<string> {
    return startPostgres(parts, {
      dataDir: preparePostgresDataDir(folder),
      password: randomBytes(16).toString('hex'),
      logFile: join(folder, 'postgres.log'),
      onCrash: () => undefined,
      choosePort,
    });
  }

  it('takes another port when somebody has taken the chosen one', async () => {
    const { server, port } = await listenSomewhere();
    const choices = [port, await freePort()];
    const url = await start(async () => choices.shift() ?? 0);
    server.close();
    expect(choices).toEqual([]);
    expect(new URL(url).port).not.toBe(String(port));
    expect(await answerOf(url)).toBe(1);
  }, 180_000);

  it('gives up with the reason when every port is taken', async () => {
    const { server, port } = await listenSomewhere();
    let choices = 0;
    await expect(
      start(async () => {
        choices += 1;
        return port;
      }),
    ).rejects.toThrow(/PostgreSQL does not start: .*TCP\/IP/);
    server.close();
    expect(choices).toBe(5);
  }, 180_000);
});

async function listenSomewhere(): Promise<{ server: Server; port: number }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('A TCP server has a port');
  return { server, port: address.port };
}

async function answerOf(url: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query('SELECT 1 AS one');
  await client.end();
  return rows[0]?.one;
}

/** As root its files may be elsewhere. */
function removeOutside(place: string): void {
  try {
    rmSync(readlinkSync(place), { recursive: true, force: true });
  } catch {
    // Everything is inside.
  }
}
