/**
 * 500 portals with one event each beside one with 10,000: how long each of the 500 waits, from the gateway's 200 to the
 * corrected name at the portal. To be reached: their p99 at most twice what it is without the flood.
 *
 * Rounds without and with the flood take turns, in one run, on the same portals; the medians of the rounds' p99 are
 * compared. In each round the 500 events are posted over half a minute; the flood begins with the first of them and comes
 * at 500 a second, so that it waits for its portal's limit through the last third. After that it is worked off without a
 * limit. Each of its updates takes 116 ms, which is the median of `processing` in the update examples of the documentation
 * (`api-reference/crm`): with 0 ms all that a burst of fifty requests writes causes its events in one second, and the machine
 * is measured. `never` are those that were not corrected a minute after the last was posted. `busy` is how much of this
 * machine's time was used: near 100 % the machine is measured, which plays portals and sender beside what is measured.
 *
 * `npm run bench -- fairness [--portals 500] [--flood 10000] [--floods 1] [--rate 500] [--over 30] [--rounds 3]`
 * `[--timeout 60] [--latency 50] [--update 116] [--bus rabbitmq|postgresql]`; `--behind`: the first of the 500 comes when all of the
 * flood has been answered; `--shard-mates`: all portals share the shard of the first flooded one. About six minutes as
 * it stands.
 */
import { execFileSync } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import { join } from 'node:path';
import { Flood } from './fairness/flood.mjs';
import { openFixture, workOff } from './fairness/fixture.mjs';
import { readOptions } from './fairness/options.mjs';
import { round } from './fairness/round.mjs';
import { EventPoster } from './support/event-poster.mjs';
import { median, quantile } from './support/quantiles.mjs';
import { Closers, startSystem } from './support/system.mjs';
import { grouped, table } from './support/table.mjs';

const reach = 2;
const connections = 64;
const options = readOptions(process.argv.slice(2));
const ending = new AbortController();
// Every request in flight adds a listener.
setMaxListeners(0, ending.signal);
const closers = new Closers();
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => ending.abort(new Error(signal)));

try {
  execFileSync(process.execPath, [join(import.meta.dirname, '../scripts/prepare.mjs')], { stdio: 'inherit' });
  const { signal } = ending;
  const system = await startSystem(['name-formatter'], options.bus, closers, signal);
  console.log(
    `${grouped(options.portals)} portals beside ${options.floods} with ${grouped(options.flood)}; ${system.description}`,
  );
  const poster = new EventPoster(system.gatewayUrl, connections);
  closers.add(() => poster.close());
  const fixture = await openFixture(system, poster, options, closers, signal);
  // The first round is slower: every client and connection is made in it.
  await round(fixture, poster, options, signal, 1);
  let contact = 1;
  const flood = new Flood(fixture.flooded, poster, options.rate);
  const rows = [];
  for (let number = 1; number <= options.rounds; number += 1) {
    for (const isFlooded of [false, true]) {
      contact += 1;
      const measured = await round(fixture, poster, options, signal, contact, isFlooded ? flood : undefined);
      const row = { number, isFlooded, ...measured };
      console.log(cells(row).join('  '));
      rows.push(row);
      if (isFlooded && number < options.rounds) await workOff(system, fixture, flood, options, signal);
    }
  }
  show(rows);
} finally {
  await closers.close();
}

/** @typedef {{ number: number, isFlooded: boolean } & import('./fairness/round.mjs').Round} Row */

/** @param {Row[]} rows */
function show(rows) {
  console.log(`\n${table(['round', 'median', 'p90', 'p99', 'most', 'never', 'busy'], rows.map(cells))}`);
  const p99 = (/** @type {boolean} */ isFlooded) =>
    median(rows.filter((row) => row.isFlooded === isFlooded).map(({ waitsMs }) => quantile(waitsMs, 0.99)));
  const ratio = p99(true) / p99(false);
  console.log(
    `\np99 without ${spelled(p99(false))}, with the flood ${spelled(p99(true))}: ${ratio.toFixed(2)} times. To be reached: ${reach}`,
  );
  if (!(ratio <= reach)) process.exitCode = 1;
}

/** @param {Row} row */
function cells({ number, isFlooded, waitsMs, unanswered, busy }) {
  const quantiles = [0.5, 0.9, 0.99, 1].map((share) => spelled(quantile(waitsMs, share)));
  return [
    `${number} ${isFlooded ? 'with' : 'without'}`,
    ...quantiles,
    String(unanswered),
    `${Math.round(100 * busy)} %`,
  ];
}

/** @param {number} ms */
function spelled(ms) {
  return ms === Infinity ? 'never' : `${grouped(ms)} ms`;
}
