import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, freshVhost, hasBroker } from '../support/broker.js';
import { CuttableLink } from '../support/cuttable-link.js';
import { freshDatabase, migratedDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { AppProcess } from '../support/processes.js';

/** What a person sees who starts an app and something is not as it should be. Real: processes, PostgreSQL, RabbitMQ. */
describe('an app that is started', () => {
  let database: TestDatabase;
  let env: Record<string, string>;
  let opsUrl: string;
  const dataDir = mkdtempSync(join(tmpdir(), 'relay-startup-'));
  const started: AppProcess[] = [];

  beforeAll(async () => {
    database = await migratedDatabase();
  }, 120_000);
  beforeAll(async () => {
    const [port, opsPort] = [await freePort(), await freePort()];
    opsUrl = `http://127.0.0.1:${opsPort}`;
    env = {
      DATABASE_URL: database.url,
      PORT: String(port),
      OPS_PORT: String(opsPort),
      PUBLIC_URL: `http://127.0.0.1:${port}`,
      OPS_TOKEN: randomBytes(16).toString('hex'),
      DATA_DIR: dataDir,
      TOKEN_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    };
  });
  afterEach(async () => {
    await Promise.all(started.splice(0).map((app) => app.stop('SIGKILL')));
  });
  afterAll(async () => {
    rmSync(dataDir, { recursive: true, force: true });
    await database.drop();
  });

  function start(app: string, changes: Record<string, string> = {}): AppProcess {
    const running = AppProcess.start(app, `apps/${app}/src/main.js`, { ...env, ...changes });
    started.push(running);
    return running;
  }

  it.each(['gateway', 'name-formatter', 'smart-process-sync'])(
    'names every bad variable and ends with 1: %s',
    async (app) => {
      const running = start(app, { DATABASE_URL: '', TOKEN_KEYS: 'k1:short', OPS_PORT: 'x' });
      expect(await running.end()).toBe(1);
      for (const name of ['DATABASE_URL is not set', 'TOKEN_KEYS must be', 'OPS_PORT']) {
        expect(running.log()).toContain(name);
      }
      expect(running.log()).not.toContain('    at ');
    },
  );

  it('says that a database does not exist', async () => {
    const running = start('gateway', { DATABASE_URL: withDatabase(database.url, 'no_such_database') });
    expect(await running.end()).toBe(1);
    expect(running.log()).toContain(
      'gateway: The database named in DATABASE_URL does not exist: create it first.',
    );
  });

  it('says that the migrations have not been run', async () => {
    const empty = await freshDatabase();
    const running = start('name-formatter', { DATABASE_URL: empty.url });
    expect(await running.end()).toBe(1);
    expect(running.log()).toContain('run `npm run migrate` first');
    await empty.drop();
  });

  it('says which port is in use', async () => {
    const taken = await listenSomewhere();
    const running = start('gateway', { PORT: String(taken.port) });
    expect(await running.end()).toBe(1);
    expect(running.log()).toContain(`Port ${taken.port} is in use by another program`);
    taken.server.close();
  });

  it('waits for a database that does not answer, says so, and goes on when it does', async () => {
    const server = new URL(database.url);
    const link = await CuttableLink.to(Number(server.port || '5432'), server.hostname);
    await link.cut();
    server.host = `127.0.0.1:${link.port}`;
    const running = start('gateway', { DATABASE_URL: server.href });
    await eventually(() =>
      expect(running.log()).toContain('PostgreSQL does not answer; is DATABASE_URL right?'),
    );
    expect((await fetch(`${opsUrl}/health/live`)).status).toBe(200);
    expect((await fetch(`${opsUrl}/health/ready`)).status).toBe(503);
    await link.mend();
    await running.ready(`${opsUrl}/health/ready`);
    expect(await running.stop()).toBe(0);
    await link.cut();
  }, 240_000);

  const withBroker = hasBroker ? it : it.skip;
  withBroker(
    'waits for a broker that does not answer, says so, and goes on when it does',
    async () => {
      const vhost = await freshVhost();
      const broker = new URL(vhost.url);
      const link = await CuttableLink.to(Number(broker.port || '5672'), broker.hostname);
      await link.cut();
      broker.host = `127.0.0.1:${link.port}`;
      const running = start('name-formatter', { AMQP_URL: broker.href });
      await eventually(() => expect(running.log()).toMatch(/"level":"warn".*ECONNREFUSED/));
      expect((await fetch(`${opsUrl}/health/live`)).status).toBe(200);
      expect((await fetch(`${opsUrl}/health/ready`)).status).toBe(503);
      await link.mend();
      await running.ready(`${opsUrl}/health/ready`);
      expect(await running.stop()).toBe(0);
      await link.cut();
      await vhost.drop();
    },
    240_000,
  );

  it('ends with 0 at SIGTERM while it still waits', async () => {
    const port = await freePort();
    const waiting = start('name-formatter', { DATABASE_URL: `postgres://postgres@127.0.0.1:${port}/relay` });
    await eventually(() => expect(waiting.log()).toContain('PostgreSQL does not answer'));
    expect(await waiting.stop()).toBe(0);
  }, 120_000);

  it('warns when nothing answers under PUBLIC_URL, and says when something does', async () => {
    const deaf = start('gateway', { PUBLIC_URL: `http://127.0.0.1:${await freePort()}` });
    await eventually(() => expect(deaf.log()).toContain('nothing answers under PUBLIC_URL'));
    await deaf.stop();
    const heard = start('gateway');
    await eventually(() => expect(heard.log()).toContain('the gateway is reached under PUBLIC_URL'));
  }, 120_000);
});

function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}

async function listenSomewhere(): Promise<{ server: Server; port: number }> {
  const server = createServer();
  await once(server.listen(0, '0.0.0.0'), 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return { server, port: address.port };
}
