import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import pg from 'pg';
import { z } from 'zod';
import { takeOver, untilReleased } from '../../apps/standalone/src/dev/take-over.js';
import { anotherAddress, connects } from '../support/connects.js';
import { freshDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { runCommand } from '../support/command-host.js';
import { Installation, isAlive, type Run } from '../support/standalone.js';

const shell = promisify(execFile);
const added = z.object({ result: z.object({ item: z.object({ id: z.number() }) }) });

jest.setTimeout(240_000);

/** `npm start` as built. Real: the process, its PostgreSQL, the signals. Simulated: Bitrix24, by the app itself. */
describe('a standalone that runs, ends and is started again', () => {
  let installation: Installation;
  let run: Run;
  beforeAll(async () => {
    installation = await Installation.create();
    run = installation.start();
    await run.ready();
  });
  afterAll(() => installation.remove());

  it('corrects the contact of the command that it prints, and says so', async () => {
    await runPrintedCommand(run);
    await run.shows("jOHN o'NEIL → John O'Neil  (");
    expect(run.screen()).toMatch(/^jOHN o'NEIL → John O'Neil {2}\(\d+ ms\)$/m);
    const ready = await fetch(`http://127.0.0.1:${installation.env['OPS_PORT']}/health/ready`);
    expect(await ready.json()).toEqual({
      status: 'ready',
      checks: {
        'everything started': true,
        'control-plane bus': true,
        'control-plane database': true,
        'control-plane started': true,
        'gateway bus': true,
        'gateway control plane': true,
        'gateway database': true,
        'name-formatter bus': true,
        'name-formatter database': true,
        'name-formatter handlers': true,
        'offline-puller bus': true,
        'offline-puller database': true,
        'offline-puller handlers': true,
        'smart-process-sync bus': true,
        'smart-process-sync database': true,
        'smart-process-sync handlers': true,
      },
    });
  });

  it('is in order, says the doctor', async () => {
    // The processes report themselves every few seconds.
    await eventually(
      async () => {
        // All else is in DATA_DIR.
        expect(await relay('doctor')).toEqual([0, expect.stringContaining('Everything is in order.')]);
      },
      { everyMs: 1_000 },
    );
  });

  it('is found by relay in a new terminal, which knows DATA_DIR alone', async () => {
    const [code, screen] = await relay('portals');
    expect([code, screen]).toEqual([0, expect.stringContaining('demo')]);
  });

  async function relay(name: string): Promise<[code: number | null, screen: string]> {
    const { DATA_DIR = '' } = installation.env;
    const { code, screen } = await runCommand([name], { env: { DATA_DIR } });
    return [code, screen];
  }

  it('says that it leaves a name alone that somebody puts back', async () => {
    const rest = `http://127.0.0.1:${installation.env['SIMULATOR_PORT']}/portals/demo/rest/1/demo`;
    const call = async (method: string, params: object): Promise<unknown> => {
      const headers = { 'content-type': 'application/json' };
      const body = JSON.stringify({ entityTypeId: 3, ...params });
      return (await fetch(`${rest}/${method}`, { method: 'POST', headers, body })).json();
    };
    const answer = await call('crm.item.add', { fields: { name: 'aDA', lastName: 'Lovelace' } });
    const { id } = added.parse(answer).result.item;
    await run.shows('aDA Lovelace → Ada Lovelace');
    await call('crm.item.update', { id, fields: { name: 'aDA' } });
    await run.shows('aDA Lovelace stays: it was corrected, and somebody has put it back');
    expect(await call('crm.item.get', { id })).toMatchObject({ result: { item: { name: 'aDA' } } });
  });

  it('shows nothing of the log, keeps secrets from both, and its files from other users', async () => {
    await runPrintedCommand(run);
    await run.shows('→');
    const log = readFileSync(installation.path('relay.log'), 'utf8');
    expect(log).toContain('portal installed');
    expect(log).not.toContain('NEIL');
    // Several Nest apps are in one process.
    expect(log).not.toContain('is already registered');
    expect(run.screen()).not.toContain('"level"');
    expect(run.screen()).toContain(
      'Consumers of your own write to the log; `npm run dev -- <consumer>` shows',
    );
    const secrets = readFileSync(installation.path('secrets.env'), 'utf8').matchAll(/=(?:k1:)?(.+)$/gm);
    for (const [, secret = ''] of secrets) {
      expect(secret.length).toBeGreaterThan(16);
      expect(log + run.screen()).not.toContain(secret);
    }
    for (const file of [
      'secrets.env',
      'database-url',
      'environment.json',
      'relay.log',
      'postgres.log',
      'lock',
    ]) {
      expect(statSync(installation.path(file)).mode & 0o777).toBe(0o600);
    }
  });

  it('lets nobody but this machine control the simulator', async () => {
    const port = Number(installation.env['SIMULATOR_PORT']);
    await expect(connects('127.0.0.1', port)).resolves.toBe(true);
    await expect(connects(anotherAddress, port)).resolves.toBe(false);
  });

  it('rejects a second instance on the same folder, and the run goes on', async () => {
    const second = installation.start();
    expect(await second.end()).toBe(1);
    expect(second.screen()).toMatch(
      /^b24-relay: .+ is in use by another npm start \(process \d+\): end that one.+\n$/,
    );
    const corrections = (): number => run.screen().split('→').length - 1;
    const before = corrections();
    await runPrintedCommand(run);
    await eventually(() => expect(corrections()).toBe(before + 1));
  });

  if (process.getuid?.() === 0) {
    it('keeps the database where PostgreSQL’s user can reach it, when root starts below a folder of mode 0700', async () => {
      expect(lstatSync(installation.path('postgres')).isSymbolicLink()).toBe(true);
      expect(statSync(installation.path('postgres')).uid).not.toBe(0);
      expect(await query(installation, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    });
  }

  /** The run of before has ended. */
  async function startAgain(): Promise<void> {
    run = installation.start();
    await run.ready();
  }

  it('leaves nothing behind at Ctrl-C, and goes on from there at the next start', async () => {
    const url = `http://127.0.0.1:${installation.env['SIMULATOR_PORT']}/portals/demo/rest/1/demo/crm.item.add`;
    await fetch(url, {
      method: 'POST',
      body: new URLSearchParams({ entityTypeId: '147', 'fields[title]': 'Lamp' }),
    });
    await eventually(async () => expect(await query(installation, LAMPS)).toEqual([{ title: 'Lamp' }]));
    const postgres = installation.postgresPid();
    const secrets = readFileSync(installation.path('secrets.env'), 'utf8');
    expect(await run.stop('SIGINT')).toBe(0);
    expect(isAlive(postgres)).toBe(false);
    const left = readdirSync(installation.path()).toSorted();
    expect(left).toEqual(['journal', 'postgres', 'postgres.log', 'relay.log', 'secrets.env']);

    await startAgain();
    expect(await query(installation, LAMPS)).toEqual([{ title: 'Lamp' }]);
    expect(readFileSync(installation.path('secrets.env'), 'utf8')).toBe(secrets);
    await runPrintedCommand(run);
    await run.shows("John O'Neil");
  });

  it('reports no failure of what waited for a consumer, for the portal answers before it starts', async () => {
    const release = takeOver(installation.path(), 'name-formatter');
    try {
      await untilReleased(installation.path(), 'name-formatter');
      await runPrintedCommand(run);
      // And maybe the event of the last correction.
      await eventually(async () => expect(await query(installation, WAITING)).not.toEqual([{ waiting: 0 }]));
      await run.stop();
    } finally {
      release();
    }
    await startAgain();
    await eventually(async () => expect(await query(installation, WAITING)).toEqual([{ waiting: 0 }]));
    expect(run.screen()).not.toMatch(/^! /m);
  });

  it('starts after a kill -9, though its PostgreSQL was left alone', async () => {
    const orphan = installation.postgresPid();
    await run.stop('SIGKILL');
    expect(isAlive(orphan)).toBe(true);
    await startAgain();
    // Ended, but as nobody's child its entry stays until the system clears it away.
    await eventually(() => expect(isAlive(orphan)).toBe(false));
    await runPrintedCommand(run);
    await run.shows("John O'Neil");
  });

  it('ends at once at a second Ctrl-C, when the first one cannot be done', async () => {
    const postgres = installation.postgresPid();
    process.kill(postgres, 'SIGSTOP');
    run.signal('SIGINT');
    await eventually(() => {
      run.signal('SIGINT');
      expect(run.hasEnded()).toBe(true);
    });
    expect(await run.end()).toBe(1);
    expect(existsSync(installation.path('lock'))).toBe(false);
    process.kill(postgres, 'SIGCONT');
    await eventually(() => expect(isAlive(postgres)).toBe(false));
  });

  it('says in one line that the secrets of its database are gone', async () => {
    await run.stop();
    writeFileSync(installation.path('secrets.env'), '');
    const rejected = installation.start();
    expect(await rejected.end()).toBe(1);
    expect(rejected.screen()).toMatch(/^b24-relay: .+secrets\.env is not complete.+put it back.+\n$/);
  });
});

describe('standalone, started and ended', () => {
  let installation: Installation;
  beforeEach(async () => {
    installation = await Installation.create();
  });
  afterEach(() => installation.remove(), 120_000);

  async function started(env: Record<string, string> = {}): Promise<Run> {
    const run = installation.start(env);
    await run.ready();
    return run;
  }

  it('names the port that is in use, and how to choose another', async () => {
    const other = createServer();
    await once(other.listen(Number(installation.env['SIMULATOR_PORT']), '0.0.0.0'), 'listening');
    const run = installation.start();
    expect(await run.end()).toBe(1);
    other.close();
    expect(run.screen()).toMatch(
      /^b24-relay: Port \d+ \(SIMULATOR_PORT\) is in use: .+ SIMULATOR_PORT=\d+ npm start\n$/,
    );
    expect(existsSync(installation.path('lock'))).toBe(false);
  });

  it('says in one line that the folder cannot be written', async () => {
    writeFileSync(installation.path(), 'a file');
    const run = installation.start({ DATA_DIR: installation.path('below') });
    expect(await run.end()).toBe(1);
    expect(run.screen()).toMatch(
      /^b24-relay: Cannot use .+: a part of the path is no folder\. .+DATA_DIR=.+\n$/,
    );
  });

  it('starts after a kill -9 in the middle of the first start', async () => {
    const first = installation.start();
    await eventually(
      () =>
        expect(readdirSync(installation.path('postgres')).some((name) => name.startsWith('new-'))).toBe(true),
      { everyMs: 1 },
    );
    await first.stop('SIGKILL');
    expect(existsSync(installation.path('postgres', 'data'))).toBe(false);
    await started();
    expect(readdirSync(installation.path('postgres'))).not.toContainEqual(expect.stringMatching(/^new-/));
  });

  it('uses the PostgreSQL of DATABASE_URL, and starts none', async () => {
    const database = await freshDatabase();
    try {
      const run = await started({ DATABASE_URL: database.url });
      expect(existsSync(installation.path('postgres'))).toBe(false);
      await runPrintedCommand(run);
      await run.shows("John O'Neil");
      await run.stop();
    } finally {
      await database.drop();
    }
  });

  it('starts no simulator beside an application of the real Bitrix24', async () => {
    const keys = {
      B24_CLIENT_ID: 'local.1',
      B24_CLIENT_SECRET: 'secret',
      PUBLIC_URL: 'https://relay.example.com',
    };
    const run = await started(keys);
    expect(run.screen()).toContain('https://relay.example.com/b24/install');
    expect(run.screen()).not.toContain('curl');
    await expect(fetch(`http://127.0.0.1:${installation.env['SIMULATOR_PORT']}/`)).rejects.toThrow(
      'fetch failed',
    );
  });
});

/** The portal's other items come with the backfill, whenever that runs. */
const LAMPS = `SELECT title FROM mirror.items WHERE title = 'Lamp'`;

const WAITING = `SELECT count(*)::int AS waiting FROM bus.messages WHERE consumer = 'name-formatter'`;

async function query(installation: Installation, sql: string): Promise<Record<string, unknown>[]> {
  const connectionString = readFileSync(installation.path('database-url'), 'utf8').trim();
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

/** Does what the screen says. */
async function runPrintedCommand(run: Run): Promise<void> {
  const [command = ''] = /^ *curl .*$/m.exec(run.screen()) ?? [];
  await shell('sh', ['-c', command]);
}
