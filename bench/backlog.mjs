/**
 * 100,000 events waiting: of 200 portals, all of one, and in the gateway's journal while the broker is away. To be
 * reached: no process takes more than 256 MB, and none grows from the middle of a phase to its end.
 *
 * How to read the table. Memory is what is resident (VmRSS), looked at five times a second: the most, and the medians of
 * the fifth in the middle of the phase and of the last fifth; these two may differ by a tenth. Each variant has a system of its own, on which all names are wrong; the
 * consumer is watched until it has worked off all events and their echoes, or for as long as is said.
 *
 * `npm run bench -- backlog [--events 100000] [--portals 200] [--bytes 0] [--seconds 90] [--latency 50] [--bus rabbitmq|postgresql]`
 * `[--only many|one|journal]`; `--bytes`: what each event carries more than a real one, up to 250,000. On Linux alone; about ten minutes as it stands.
 */
import { execFileSync } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import { join } from 'node:path';
import { openFixture } from './backlog/fixture.mjs';
import { readOptions } from './backlog/options.mjs';
import { inJournal, inQueues } from './backlog/variants.mjs';
import { Closers } from './support/system.mjs';
import { duration, grouped, table } from './support/table.mjs';

const reachBytes = 256 * 1024 ** 2;
const steadyTimes = 1.1;
const options = readOptions(process.argv.slice(2));
const { events, portals, bus, only } = options;
const ending = new AbortController();
// Every request in flight adds a listener.
setMaxListeners(0, ending.signal);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => ending.abort(new Error(signal)));

execFileSync(process.execPath, [join(import.meta.dirname, '../scripts/prepare.mjs')], { stdio: 'inherit' });
const variants = [
  { key: 'many', title: `of ${grouped(portals)} portals`, portals, run: inQueues },
  { key: 'one', title: 'of one portal', portals: 1, run: inQueues },
  { key: 'journal', title: 'in the journal', portals, run: inJournal },
];
/** @type {string[][]} */
const rows = [];
for (const { key, title, portals: count, run } of variants) {
  if (only !== undefined && only !== key) continue;
  if (key === 'journal' && bus === 'postgresql') continue;
  const closers = new Closers();
  try {
    const fixture = await openFixture({ ...options, portals: count }, closers, ending.signal);
    console.log(`${grouped(events)} events ${title}; ${fixture.system.description}`);
    for await (const phase of run(fixture, options.watchMs, ending.signal)) {
      const added = rowsOf(title, phase);
      for (const row of added) console.log(row.join('  '));
      rows.push(...added);
    }
  } finally {
    await closers.close();
  }
}
const heads = ['', 'phase', 'process', 'took', 'most', 'middle', 'end', 'verdict'];
console.log(
  `\n${table(heads, rows)}\n\nTo be reached: ${megabytes(reachBytes)}, and the end within ${steadyTimes} times the middle`,
);

/** @param {string} title @param {import('./backlog/variants.mjs').Phase} phase */
function rowsOf(title, { phase, seconds, processes }) {
  return Object.entries(processes).map(([name, { peak, middle, end }]) => {
    const faults = [];
    if (peak > reachBytes) faults.push('too much');
    if (end > middle * steadyTimes) faults.push('grows');
    if (faults.length > 0) process.exitCode = 1;
    const numbers = [peak, middle, end].map(megabytes);
    return [title, phase, name, duration(seconds), ...numbers, faults.join(', ') || 'good'];
  });
}

/** @param {number} bytes */
function megabytes(bytes) {
  return `${grouped(bytes / 1024 ** 2)} MB`;
}
