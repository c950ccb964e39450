import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { freePort, hasBroker } from '../support/broker.js';
import { freshDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startRelay, type Relay } from '../support/relay.js';

const root = join(import.meta.dirname, '../..');
const fewContacts = '200';
const contacts = z.object({ items: z.array(z.looseObject({ lastName: z.string() })) });

interface Demo {
  output: () => string;
  kill: (signal: NodeJS.Signals) => void;
  ended: Promise<number | null>;
}

/** `npm run demo`, written to a pipe; npm itself is left out, for it does not pass on every signal. */
function startDemo(env: Record<string, string>, ...args: string[]): Demo {
  const child = spawn(process.execPath, ['scripts/demo.mjs', ...args], {
    cwd: root,
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => output.push(text));
  }
  const ended = once(child, 'close').then(() => child.exitCode);
  return { output: () => output.join(''), kill: (signal) => child.kill(signal), ended };
}

async function listens(port: string): Promise<boolean> {
  const socket = connect(Number(port), '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Real: every app as built, PostgreSQL, RabbitMQ. Simulated: Bitrix24. */
describe('npm run demo on a system that runs', () => {
  let relay: Relay;
  let demoUrl: string;

  beforeAll(async () => {
    relay = await startRelay(hasBroker ? 'RabbitMQ' : 'PostgreSQL', ['name-formatter', 'smart-process-sync']);
    demoUrl = `http://127.0.0.1:${relay.env['SIMULATOR_PORT']}/_sim/portals/demo`;
    // What is tested is the demo; how b24-relay lives with the usual limits is not.
    await control('PATCH', '', { rate: 200, burst: 5_000 });
    await control('POST', '/install', { url: `${relay.gatewayUrl}/b24/install` });
  }, 240_000);
  afterAll(() => relay?.stop(), 120_000);

  async function control(method: string, path: string, body?: object): Promise<unknown> {
    const answer = await fetch(`${demoUrl}${path}`, { method, ...(body && { body: JSON.stringify(body) }) });
    expect(answer.ok).toBe(true);
    return answer.json();
  }

  const ran = async (...args: string[]): Promise<string> => {
    const demo = startDemo({ ...relay.env }, ...args);
    const exitCode = await demo.ended;
    expect({ exitCode, output: demo.output() }).toMatchObject({ exitCode: 0 });
    return demo.output();
  };

  it('corrects ten contacts and a mass update, mirrors deliveries, and shows what it cost', async () => {
    const output = await ran(fewContacts);

    expect(output).toContain("jOHN o'NEIL → John O'Neil");
    expect(output).toMatch(/Ukrainian +в’ячеслав ІВАНОВИЧ коваль-БОНДАР +В’ячеслав Іванович Коваль-Бондар\n/);
    expect(output).toMatch(/\d +Door handles, 300 pieces +no +Door handles, 300 pieces +yes\n/);
    expect(output).toMatch(/\d +Desk lamps, 40 pieces +no +Desk lamps, 38 pieces, 2 broken +no\n/);
    expect(output).toContain('100 %  200 of 200 names are right');
    // Took, requests, none rejected; least possible, one by one, and for how long.
    expect(output).toMatch(/Ten contacts +[\d.]+ m?s +\d+ +0 +2 +20 +/);
    expect(output).toMatch(/Mass update of 213 +[\d.]+ m?s +\d+ +0 +5 +413 +/);

    const { items } = contacts.parse(await control('GET', '/items/3?limit=1000'));
    expect(items.find(({ lastName }) => lastName === 'Παπαδόπουλος')).toMatchObject({ name: 'Γιώργος' });
    expect(items.filter(({ lastName }) => lastName === 'Lovelace')).toHaveLength(20);
  }, 240_000);

  it('can be repeated, and is plain text where nobody can write over a line', async () => {
    const output = await ran(fewContacts);
    // The contacts of the mass update before are gone.
    expect(output).toContain('Mass update of 223');
    for (const character of ['\r', '\u001B']) expect(output.includes(character)).toBe(false);
  }, 240_000);
});

describe('npm run demo on its own', () => {
  let database: TestDatabase;
  let dataDir: string;
  let env: Record<string, string>;

  beforeEach(async () => {
    [database, dataDir] = [await freshDatabase(), await mkdtemp(join(tmpdir(), 'relay-demo-'))];
    env = { DATABASE_URL: database.url, DATA_DIR: dataDir };
    for (const name of ['PORT', 'OPS_PORT', 'SIMULATOR_PORT']) env[name] = String(await freePort());
  });
  afterEach(async () => {
    await database.drop();
    await rm(dataDir, { recursive: true });
  });

  const nothingListens = async (): Promise<void> => {
    for (const name of ['PORT', 'OPS_PORT', 'SIMULATOR_PORT']) {
      expect(await listens(env[name] ?? '')).toBe(false);
    }
  };

  it('starts what is missing, and ends it again', async () => {
    const demo = startDemo(env, '20');
    expect({ exitCode: await demo.ended, output: demo.output() }).toMatchObject({ exitCode: 0 });
    expect(demo.output()).toContain('20 of 20 names are right');
    await nothingListens();
  }, 240_000);

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    'leaves nothing behind at %s',
    async (signal, code) => {
      const demo = startDemo(env);
      await eventually(() => expect(demo.output()).toContain('A mass update'), { timeoutMs: 180_000 });
      demo.kill(signal);
      expect(await demo.ended).toBe(code);
      await nothingListens();
    },
    240_000,
  );

  it('leaves nothing behind even when it is killed', async () => {
    const demo = startDemo(env);
    await eventually(() => expect(demo.output()).toContain('Ten contacts'), { timeoutMs: 180_000 });
    demo.kill('SIGKILL');
    await demo.ended;
    await eventually(nothingListens);
  }, 240_000);

  it('says in one sentence what is in the way', async () => {
    const other = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const failures: [Record<string, string>, string[], RegExp][] = [
      [
        { ...env, SIMULATOR_PORT: String(port) },
        [],
        /^demo: Something at .* does not answer as the simulator/,
      ],
      [{ ...env, B24_CLIENT_ID: 'local.real' }, [], /^demo: B24_CLIENT_ID is set/],
      [
        { ...env, PORT: String(port) },
        [],
        /^demo: What the demo started has ended: Port \d+ \(PORT\) is in use/m,
      ],
      [env, ['many'], /^demo: The only argument is how many contacts/],
    ];
    for (const [given, args, sentence] of failures) {
      const demo = startDemo(given, ...args);
      expect(await demo.ended).toBe(1);
      expect(demo.output()).toMatch(sentence);
    }
    other.close();
    await once(other, 'close');
  }, 240_000);
});
