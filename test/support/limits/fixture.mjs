/** A database and a simulator of one's own, with one portal that is known in both. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { freePort } from '../free-port.mjs';
import { findDatabase } from '../services.mjs';

const dist = join(import.meta.dirname, '../../../dist');
const startTimeoutMs = 120_000;

/**
 * @typedef {object} Fixture
 * @property {string} databaseUrl
 * @property {string} simulatorUrl
 * @property {string} memberId
 * @property {string} webhookUrl
 * @property {() => Promise<{ requests: number, refusals: number }>} statistics of the portal, as the simulator counts
 * @property {() => Promise<void>} close
 */

/**
 * @param {{ rate: number, burst: number, latencyMs: number }} portal
 * @returns {Promise<Fixture>}
 */
export async function openFixture(portal) {
  /** @type {(() => Promise<unknown>)[]} the last is closed first */
  const closers = [];
  const close = async () => {
    for (const each of closers.splice(0).toReversed()) await each();
  };
  try {
    const databaseUrl = await openDatabase(closers);
    const simulatorUrl = await startSimulator(closers);
    const created = await (
      await fetch(`${simulatorUrl}/_sim/portals`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name: 'limited', ...portal }),
      })
    ).json();
    const { member_id: memberId, domain, webhooks } = created;
    await query(
      databaseUrl,
      `INSERT INTO portals.portals (member_id, domain, client_endpoint, state)
      VALUES ('${memberId}', '${domain}', 'https://unused/', 'installed')`,
    );
    const statistics = async () => (await fetch(`${simulatorUrl}/_sim/portals/limited/stats`)).json();
    return { databaseUrl, simulatorUrl, memberId, webhookUrl: webhooks[0], statistics, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** @param {(() => Promise<unknown>)[]} closers */
async function openDatabase(closers) {
  const server = await findDatabase();
  closers.push(server.stop);
  const serverUrl = server.env['DATABASE_URL'] ?? '';
  // The tests drop what carries this name and the id of a process that is gone.
  const name = `relay_test_${process.pid}_${randomBytes(4).toString('hex')}`;
  await query(serverUrl, `CREATE DATABASE ${name}`);
  closers.push(() => query(serverUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const migration = start('libs/platform/src/migrate.js', { DATABASE_URL: url.href, LOG_LEVEL: 'warn' });
  if (migration.exitCode === null) await once(migration, 'exit');
  if (migration.exitCode !== 0) throw new Error('the migrations failed');
  return url.href;
}

/** @param {(() => Promise<unknown>)[]} closers */
async function startSimulator(closers) {
  const port = await freePort();
  const simulator = start('apps/portal-simulator/src/main.js', {
    SIMULATOR_PORT: String(port),
    B24_CLIENT_ID: 'local.limits',
    B24_CLIENT_SECRET: randomBytes(16).toString('hex'),
    LOG_LEVEL: 'warn',
  });
  closers.push(async () => {
    if (simulator.exitCode !== null) return;
    simulator.kill('SIGTERM');
    await once(simulator, 'exit');
  });
  const url = `http://127.0.0.1:${port}`;
  const deadline = Date.now() + startTimeoutMs;
  for (;;) {
    const answers = await fetch(`${url}/health/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (answers) return url;
    if (simulator.exitCode !== null || Date.now() > deadline) throw new Error('the simulator did not start');
    await pause(100);
  }
}

/** @param {string} entry below dist/ @param {Record<string, string>} env */
function start(entry, env) {
  return spawn(process.execPath, [join(dist, entry)], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** @param {string} url @param {string} sql */
async function query(url, sql) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
