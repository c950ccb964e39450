import { poll } from './wait.mjs';
import { duration, grouped } from './screen.mjs';

/** @typedef {import('./simulator.mjs').Simulator} Simulator */
/**
 * @typedef {object} Work
 * @property {string} title
 * @property {number[]} reads how many things have to be read, for each moment at which they changed
 * @property {number} writes how many have to be written
 */
/** @typedef {Work & { requests: number, rejected: number, tookMs: number, calls: Record<string, number> }} Cost */

const readsPerRequest = 2500;
const writesPerRequest = 50;
const idleForMs = 750;
const idleTimeoutMs = 10_000;

/**
 * Runs one part of the demo and counts what b24-relay asked the portal for meanwhile: the demo's own requests are left
 * out, those for the echo of its own updates are not.
 *
 * @param {Simulator} simulator
 * @param {() => Promise<Work>} part
 * @returns {Promise<Cost>}
 */
export async function measured(simulator, part) {
  const before = await usageOf(simulator);
  const startMs = performance.now();
  const work = await part();
  const tookMs = performance.now() - startMs;
  await untilIdle(simulator);
  const after = await usageOf(simulator);
  const calls = Object.entries(after.calls).map(([name, count]) => [name, count - (before.calls[name] ?? 0)]);
  return {
    ...work,
    tookMs,
    requests: after.requests - before.requests,
    rejected: after.rejected - before.rejected,
    calls: Object.fromEntries(calls),
  };
}

/** All that b24-relay asked for so far. @param {Simulator} simulator */
async function usageOf(simulator) {
  const { requests, refusals, calls } = await simulator.stats();
  const { own } = simulator;
  const ownRequests = Object.values(own.calls).reduce((sum, count) => sum + count, own.refusals);
  return {
    requests: requests - ownRequests,
    rejected: refusals - own.refusals,
    calls: Object.fromEntries(
      Object.entries(calls).map(([name, count]) => [name, count - (own.calls[name] ?? 0)]),
    ),
  };
}

/** No event on its way and no request for a while. What was rejected may come half a minute later, and is not waited for. @param {Simulator} simulator */
export async function untilIdle(simulator) {
  let requests = -1;
  let sinceMs = performance.now();
  const ask = async () => {
    const stats = await simulator.stats();
    if (stats.requests !== requests || stats.events.pending > 0) sinceMs = performance.now();
    requests = stats.requests;
    return performance.now() - sinceMs >= idleForMs || undefined;
  };
  await poll(ask, { everyMs: 100, timeoutMs: idleTimeoutMs, signal: simulator.signal });
}

/** Everything read and written as full as a request can be. @param {Work} work */
export function leastRequests({ reads, writes }) {
  const forReads = reads.reduce((sum, count) => sum + Math.ceil(count / readsPerRequest), 0);
  return forReads + Math.ceil(writes / writesPerRequest);
}

/**
 * @param {import('./screen.mjs').Screen} screen
 * @param {readonly Cost[]} costs
 * @param {{ rate: number, burst: number }} limits
 */
export function showCosts(screen, costs, { rate, burst }) {
  screen.heading(
    'What it cost the portal',
    `It takes ${rate} requests a second and ${burst} at once. Beside it: the least possible (2,500 reads or 50 writes a request), and\n` +
      'the way of a tutorial, one request to read and one to write for each contact.',
  );
  screen.table(
    ['', 'took', 'requests', 'rejected', 'least possible', 'one by one', 'which takes'],
    costs.map((cost) => {
      const oneByOne = cost.reads.reduce((sum, count) => sum + count, cost.writes);
      return [
        cost.title,
        duration(cost.tookMs),
        cost.requests,
        cost.rejected,
        leastRequests(cost),
        oneByOne,
        duration((oneByOne / rate) * 1000),
      ];
    }),
  );
  if (costs.some(({ rejected }) => rejected > 0)) {
    screen.line();
    screen.line('  What the portal rejected was tried again later, which takes its time; nothing was lost.');
  }
  screen.line();
  for (const { title, calls } of costs) {
    const counts = Object.entries(calls).filter(([, count]) => count > 0);
    screen.line(`  ${title}: ${counts.map(([name, count]) => `${name} ${grouped(count)}`).join(', ')}`);
  }
}
