import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { openFixture } from './fixture.mjs';

/**
 * @typedef {object} Hammering
 * @property {number} rate of the portal, requests a second
 * @property {number} burst
 * @property {number} seconds
 * @property {number} [processes] default 8
 * @property {number} [interactive] callers of interactive work in each process, default 3
 * @property {number} [background] callers of background work in each process, default 2
 * @property {number} [latencyMs] how long the portal takes for each answer, default 50
 * @property {{ rate: number, fromSecond: number, toSecond: number }} [foreign] a program without manners, at our address
 */

/**
 * @typedef {object} Second What the simulator has counted by then.
 * @property {number} atMs since the first call
 * @property {number} ours requests that it took
 * @property {number} oursRejected
 * @property {number} theirs
 * @property {number} theirsRejected
 */

/**
 * @typedef {object} Hammered
 * @property {Second[]} seconds
 * @property {number} allowed the most requests that the bucket takes in this time: X at once, and Y after each second
 * @property {{ interactive: number, background: number }} done calls that came back with a result
 * @property {string[]} lost errors of calls that did not
 */

/**
 * Some processes call one simulated portal as fast as its limits, shared through PostgreSQL, let them.
 * @param {Hammering} hammering
 * @returns {Promise<Hammered>}
 */
export async function hammer({ rate, burst, seconds, foreign, ...rest }) {
  const { processes = 8, interactive = 3, background = 2, latencyMs = 50 } = rest;
  const fixture = await openFixture({ rate, burst, latencyMs });
  const { databaseUrl, memberId, webhookUrl } = fixture;
  const order = JSON.stringify({
    databaseUrl,
    memberId,
    webhookUrl,
    limit: { rate, burst },
    interactive,
    background,
  });
  const workers = Array.from({ length: processes }, () => startWorker(order));
  try {
    await Promise.all(workers.map(({ ready }) => ready));
    const end = new AbortController();
    const theirs = { sent: 0, rejected: 0 };
    const startedAt = performance.now();
    for (const worker of workers) worker.begin();
    const visiting = foreign && callWithoutManners(webhookUrl, foreign, theirs, end.signal);
    /** @type {Second[]} */
    const counted = [];
    // Half a second more, so that it is clear how often the counter fell.
    for (let second = 1; second <= seconds; second += 1) {
      await pause(Math.max(0, startedAt + second * 1_000 + 500 - performance.now()));
      const { requests, refusals } = await fixture.statistics();
      counted.push({
        atMs: performance.now() - startedAt,
        ours: requests - refusals - (theirs.sent - theirs.rejected),
        oursRejected: refusals - theirs.rejected,
        theirs: theirs.sent - theirs.rejected,
        theirsRejected: theirs.rejected,
      });
    }
    end.abort();
    await visiting;
    const results = await Promise.all(workers.map((worker) => worker.stop()));
    const lastMs = counted.at(-1)?.atMs ?? 0;
    return {
      seconds: counted,
      allowed: burst + rate * Math.floor(lastMs / 1_000),
      done: {
        interactive: results.reduce((sum, { done }) => sum + done.interactive, 0),
        background: results.reduce((sum, { done }) => sum + done.background, 0),
      },
      lost: results.flatMap(({ lost }) => lost),
    };
  } finally {
    for (const worker of workers) worker.kill();
    await fixture.close();
  }
}

/** @param {string} order what `worker.mjs` reads, as JSON */
export function startWorker(order) {
  const child = fork(join(import.meta.dirname, 'worker.mjs'), {
    env: { PATH: process.env['PATH'], LIMITS_WORKER: order },
  });
  const message = async () => {
    const ended = once(child, 'exit').then(() => {
      throw new Error('a worker ended before its time');
    });
    const [said] = await Promise.race([once(child, 'message'), ended]);
    return said;
  };
  return {
    ready: message(),
    begin: () => child.send('begin'),
    /** @returns {Promise<{ done: { interactive: number, background: number }, lost: string[] }>} */
    stop: () => {
      const said = message();
      child.send('stop');
      return said;
    },
    kill: () => child.kill('SIGKILL'),
  };
}

/**
 * One request after the other at its rate, whatever the answers.
 * @param {string} webhookUrl
 * @param {{ rate: number, fromSecond: number, toSecond: number }} foreign
 * @param {{ sent: number, rejected: number }} counts
 * @param {AbortSignal} signal
 */
async function callWithoutManners(webhookUrl, { rate, fromSecond, toSecond }, counts, signal) {
  const startedAt = performance.now();
  const untilMs = (/** @type {number} */ second) =>
    Math.max(0, startedAt + second * 1_000 - performance.now());
  try {
    for (let second = fromSecond; second < toSecond; second += 1 / rate) {
      await pause(untilMs(second), undefined, { signal });
      const answer = await fetch(`${webhookUrl}app.info`, { method: 'POST' });
      await answer.body?.cancel();
      counts.sent += 1;
      if (answer.status === 503) counts.rejected += 1;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
