/**
 * The mirror of 100,000 smart process items in five types: its backfill, once as fast as it goes and once where the portal's
 * limit binds, and a reconciliation. To be reached: 5,000 items a second into PostgreSQL where the limit does not bind, within
 * 1.2 times the least time that it allows where it does, with no more than 256 MB.
 *
 * How to read the table. `requests` were counted by the simulated portal from the moment at which the work was asked for;
 * `least` is one for every 2,500 items of a type (50 commands of 50 items), or of ids for a reconciliation. The least time
 * is that of the least requests: (requests − burst) / rate seconds, though background work leaves a part of the burst to interactive work.
 * With the usual limit, 2 a second and 50 at once, 100,000 items need not wait; so a lower one is set. `memory` is the highest that the consumer's process had.
 * The simulated portal and PostgreSQL work on the same machine, in processes of their own, and take their shares of it: `cpu`
 * is what the consumer's process took of the processors, `portal` what the simulated portal's did, and `items/cpu s` how many
 * items the consumer stores in a second of a processor that it has for itself.
 *
 * `npm run bench -- sync [--items 100000] [--rate 1] [--burst 4] [--bus rabbitmq|postgresql]`; about two minutes.
 */
import { execFileSync } from 'node:child_process';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { MirroredPortal } from './sync/mirrored-portal.mjs';
import { Closers, startSystem } from './support/system.mjs';
import { duration, grouped, table } from './support/table.mjs';

const reach = { itemsPerSecond: 5_000, ratio: 1.2, megabytes: 256 };
const types = [131, 132, 133, 134, 135];
const { values } = parseArgs({
  options: {
    items: { type: 'string', default: '100000' },
    rate: { type: 'string', default: '1' },
    burst: { type: 'string', default: '4' },
    bus: { type: 'string' },
  },
});
const [items, rate, burst] = [Number(values.items), Number(values.rate), Number(values.burst)];
const bus = values.bus === 'rabbitmq' || values.bus === 'postgresql' ? values.bus : undefined;
const ending = new AbortController();
const closers = new Closers();
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => ending.abort(new Error(signal)));

try {
  execFileSync(process.execPath, [join(import.meta.dirname, '../scripts/prepare.mjs')], { stdio: 'inherit' });
  const system = await startSystem(['smart-process-sync'], bus, closers, ending.signal);
  const processors = `${availableParallelism()} processors, load ${loadavg()[0]?.toFixed(1)} before`;
  console.log(`${grouped(items)} items in ${types.length} types; ${system.description}; ${processors}`);
  const free = await MirroredPortal.create(system, 'free', types, ending.signal);
  await free.fill(items);
  /** @type {Result[]} */
  const results = [
    { title: 'backfill, no limit', limit: undefined, ...(await free.run('backfill')) },
    { title: 'reconciliation, no limit', limit: undefined, ...(await free.run('reconcile')) },
  ];
  const bound = await MirroredPortal.create(system, 'bound', types, ending.signal, { rate, burst });
  await bound.fill(items);
  results.push({
    title: `backfill, ${rate} a second`,
    limit: { rate, burst },
    ...(await bound.run('backfill')),
  });
  show(results);
} finally {
  await closers.close();
}

/** @typedef {import('./sync/mirrored-portal.mjs').Ran & { title: string, limit: { rate: number, burst: number } | undefined }} Result */

/** @param {Result[]} results */
function show(results) {
  const rows = results.map(({ title, limit, seconds, requests, megabytes, cpu, simulatorCpu }) => {
    const least = limit ? (leastRequests() - limit.burst) / limit.rate : undefined;
    const ratio = least !== undefined && least > 0 ? seconds / least : undefined;
    return [
      title,
      duration(seconds),
      grouped(Math.round(items / seconds)),
      grouped(requests),
      grouped(leastRequests()),
      least === undefined ? '–' : duration(least),
      ratio === undefined ? '–' : ratio.toFixed(2),
      `${Math.round(megabytes)} MB`,
      cpu === undefined ? '–' : duration(cpu),
      simulatorCpu === undefined ? '–' : duration(simulatorCpu),
      cpu === undefined ? '–' : grouped(items / cpu),
    ];
  });
  const heads = ' took items/s requests least least_time ratio memory cpu portal items/cpu_s'.split(' ');
  const shown = heads.map((head) => head.replace('_', ' '));
  console.log(`\n${table(shown, rows)}`);
  console.log(
    `\nTo be reached: ${grouped(reach.itemsPerSecond)} items/s, ratio ${reach.ratio}, ${reach.megabytes} MB`,
  );
}

/** Fifty pages of fifty each; of a full last page nobody knows that it was the last. */
function leastRequests() {
  return types.length * Math.ceil(items / types.length / 2_500);
}
