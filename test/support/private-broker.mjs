import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import amqp from 'amqplib';
import { freePort } from './free-port.mjs';

const serverBinary = '/usr/lib/rabbitmq/bin/rabbitmq-server';
/** Not the one on the path: that changes the user, and so the home with the cookie. */
export const brokerControl = '/usr/lib/rabbitmq/bin/rabbitmqctl';
const startTimeoutMs = 180_000;

/** A broker process of its own can be started here. */
export const canStartBroker = () => existsSync(serverBinary);

/**
 * @typedef {object} PrivateBroker
 * @property {string} url
 * @property {string} node Erlang's name of it, for `rabbitmqctl -n`
 * @property {string} home where the cookie is that `rabbitmqctl` needs
 * @property {(signal?: NodeJS.Signals) => Promise<void>} kill SIGKILL is a crash, SIGTERM good order; resolves when gone
 * @property {() => void} freeze SIGSTOP
 * @property {() => void} thaw
 * @property {() => Promise<void>} start starts it again on the same port and data; resolves when it takes connections
 * @property {(signal?: NodeJS.Signals) => Promise<void>} restart kill and start
 * @property {() => Promise<void>} wipe kills it, takes its data away, and starts it again on the same port: nothing is left
 * @property {() => Promise<void>} stop ends it and removes its data
 */

/**
 * A disposable RabbitMQ: own port, own data, no /etc, no /var, any user, loopback only. About four seconds to start.
 * @returns {Promise<PrivateBroker>}
 */
export async function privateBroker() {
  const folder = await mkdtemp(join(tmpdir(), 'relay-rabbitmq-'));
  const [port, distPort] = [await freePort(), await freePort()];
  await Promise.all(['home', 'mnesia', 'log'].map((name) => mkdir(join(folder, name))));
  await writeFile(
    join(folder, 'rabbitmq.conf'),
    `listeners.tcp.1 = 127.0.0.1:${port}\nlog.console = false\nlog.file.level = warning\n`,
  );
  await writeFile(join(folder, 'enabled_plugins'), '[].');
  const url = `amqp://guest:guest@127.0.0.1:${port}`;
  const node = `relay${port}@localhost`;
  /** @type {import('node:child_process').ChildProcess | undefined} */
  let server;

  const start = async () => {
    // A group of its own: rabbitmq-server is a shell script that starts the Erlang machine as its child.
    server = spawn(serverBinary, [], {
      // Where Erlang would leave a crash dump.
      cwd: folder,
      env: environment(folder, port, distPort, node),
      stdio: 'ignore',
      detached: true,
    });
    await acceptsConnections(url);
  };
  const kill = async (/** @type {NodeJS.Signals} */ signal = 'SIGKILL') => {
    const child = server;
    server = undefined;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    process.kill(-child.pid, signal);
    await exited;
  };
  const tell = (/** @type {'SIGSTOP' | 'SIGCONT'} */ signal) => {
    if (server?.pid !== undefined) process.kill(-server.pid, signal);
  };
  const stop = async () => {
    await kill();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  const restart = async (/** @type {NodeJS.Signals | undefined} */ signal) => {
    await kill(signal);
    await start();
  };
  const wipe = async () => {
    await kill();
    await rm(join(folder, 'mnesia'), { recursive: true, force: true, maxRetries: 5 });
    await mkdir(join(folder, 'mnesia'));
    await start();
  };
  await start();
  return {
    url,
    node,
    home: join(folder, 'home'),
    kill,
    freeze: () => tell('SIGSTOP'),
    thaw: () => tell('SIGCONT'),
    start,
    restart,
    wipe,
    stop,
  };
}

/** @param {string} url */
async function acceptsConnections(url) {
  const deadline = Date.now() + startTimeoutMs;
  for (;;) {
    try {
      const connection = await amqp.connect(url, { timeout: 2_000 });
      await connection.close();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw new Error('the private RabbitMQ did not start', { cause: error });
    }
    await pause(200);
  }
}

/**
 * @param {string} folder
 * @param {number} port
 * @param {number} distPort
 * @param {string} node
 */
function environment(folder, port, distPort, node) {
  return {
    PATH: process.env['PATH'],
    HOME: join(folder, 'home'),
    RABBITMQ_NODENAME: node,
    RABBITMQ_DIST_PORT: String(distPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq'),
    RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
    RABBITMQ_CONF_ENV_FILE: join(folder, `${port}-none.conf`),
    RABBITMQ_PID_FILE: join(folder, 'pid'),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
  };
}
