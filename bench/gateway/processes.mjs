/** The processes of the benchmark beside the system: the other servers, and the load. */
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { freePort } from '../../test/support/free-port.mjs';

/** @typedef {import('../support/portal.mjs').Grant} Grant */

const STOP_TIMEOUT_MS = 5_000;

/**
 * @param {import('./server.mjs').ServerKind} kind
 * @param {Pick<import('../support/system.mjs').System, 'amqpUrl' | 'databaseUrl'>} system
 * @param {readonly Pick<Grant, 'member_id' | 'application_token'>[]} grants
 * @param {Record<string, string>} env
 * @param {import('../support/system.mjs').Closers} closers
 */
export async function startServer(kind, { amqpUrl, databaseUrl }, grants, env, closers) {
  const child = forkFile('server.mjs', env, closers);
  const port = await freePort();
  const portals = grants.map(({ member_id, application_token }) => [
    member_id,
    createHash('sha256').update(application_token).digest('hex'),
  ]);
  child.send({ kind, port, amqpUrl, databaseUrl, portals });
  await answerOf(child, `the server ${kind} did not start`);
  return { port, pid: child.pid ?? 0 };
}

export class Load {
  #child;

  /** @param {import('../support/system.mjs').Closers} closers */
  constructor(closers) {
    this.#child = forkFile('load.mjs', {}, closers);
  }

  get pid() {
    return this.#child.pid ?? 0;
  }

  /** @param {import('./load.mjs').Order} order @returns {Promise<import('./load.mjs').Result>} */
  async run(order) {
    this.#child.send(order);
    const { result, error } = await answerOf(this.#child, 'the load generator ended');
    if (error) throw new Error(`the load on port ${order.port}: ${error}`);
    return result;
  }
}

/**
 * @param {string} file
 * @param {Record<string, string>} env
 * @param {import('../support/system.mjs').Closers} closers
 */
function forkFile(file, env, closers) {
  const child = fork(join(import.meta.dirname, file), { env: { ...process.env, ...env } });
  closers.add(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    child.disconnect();
    await once(child, 'exit');
    clearTimeout(late);
  });
  return child;
}

/** @param {import('node:child_process').ChildProcess} child @param {string} failure @returns {Promise<any>} */
async function answerOf(child, failure) {
  const ending = new AbortController();
  const { signal } = ending;
  try {
    const ended = once(child, 'exit', { signal }).then(() => {
      throw new Error(failure);
    });
    const [answer] = await Promise.race([once(child, 'message', { signal }), ended]);
    return answer;
  } finally {
    ending.abort();
  }
}
