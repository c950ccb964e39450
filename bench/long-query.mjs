/**
 * The bus in PostgreSQL while somebody else keeps a transaction open, as a long report on the mirror does: what each
 * minute costs beside the first one, with such a transaction and without.
 * Reach: with it, the last minute takes at most 1.2 times the time and the CPU of the first. What they are without it is beside
 * them: what the machine itself does. Before the first minute everything is warmed up for half a minute.
 *
 * How to read the table. Two databases get the same events at the same rate at the same time, so that whatever else the
 * machine does hits both. `latency` is the median from the publish of an event to its delivery; every event is settled at
 * once. `database` is the CPU of the server's processes that have the database open, autovacuum included, an event. Only
 * on Linux.
 *
 * `npm run bench -- long-query [--minutes 10] [--rate 800] [--checkout <another one, which is built>]`.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { DatabaseCpu } from './support/cpu.mjs';
import { number } from './support/options.mjs';
import { median, quantile } from './support/quantiles.mjs';
import { Closers, openDatabase } from './support/system.mjs';
import { grouped, table } from './support/table.mjs';
import { until } from './support/wait.mjs';

const PORTALS = 40;
const NAME = 'ONCRMCONTACTUPDATE';
const TICK_MS = 10;
const MINUTE_MS = 60_000;
const WARM_UP_MS = 30_000;
const REACH = 1.2;

/** @typedef {{ title: string, url: string, bus: any, latenciesMs: number[], settled: number, published: number, databaseCpu: DatabaseCpu, cpuBefore: number }} Side */
/** @typedef {{ title: string, minute: number, events: number, medianMs: number, p99Ms: number, micros: number }} Measured */

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    rate: { type: 'string', default: '800' },
    checkout: { type: 'string' },
  },
});
const minutes = number('minutes', values.minutes);
const rate = number('rate', values.rate);
const root = values.checkout === undefined ? join(import.meta.dirname, '..') : resolve(values.checkout);
const ending = new AbortController();
const closers = new Closers();
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => ending.abort(new Error(signal)));

try {
  execFileSync(process.execPath, [join(import.meta.dirname, '../scripts/prepare.mjs')], { stdio: 'inherit' });
  const sides = [await openSide('without'), await openSide('with')];
  await keepReading(sides[1]?.url ?? '');
  console.log(`${grouped(rate)} events a second on each database, with and without an open transaction`);
  await publishFor(WARM_UP_MS, sides);
  /** @type {Measured[]} */
  const results = [];
  for (let minute = 1; minute <= minutes; minute += 1) {
    for (const side of sides) reset(side);
    await publishFor(MINUTE_MS, sides);
    for (const side of sides) results.push(resultOf(side, minute));
    console.log(
      results
        .slice(-sides.length)
        .map((result) => cellsOf(result).join('  '))
        .join('\n'),
    );
  }
  show(results);
} finally {
  await closers.close();
}

/** @param {string} title @returns {Promise<Side>} */
async function openSide(title) {
  const { url } = await openDatabase(`relay_test_${process.pid}_${randomBytes(4).toString('hex')}`, closers);
  const dist = join(root, 'dist/libs');
  execFileSync(process.execPath, [join(dist, 'platform/src/migrate.js')], {
    cwd: root,
    env: { PATH: process.env['PATH'], DATABASE_URL: url },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const { openEventBus } = await import(pathToFileURL(join(dist, 'bus/src/index.js')).href);
  const { silentLog } = await import(pathToFileURL(join(dist, 'platform/src/index.js')).href);
  const bus = await openEventBus({ databaseUrl: url, log: silentLog, publishDeadlineMs: 10_000 });
  closers.add(() => bus.close());
  const databaseCpu = new DatabaseCpu(url);
  closers.add(() => databaseCpu.stop());
  /** @type {Side} */
  const side = { title, url, bus, latenciesMs: [], settled: 0, published: 0, databaseCpu, cpuBefore: 0 };
  await bus.consume({
    consumer: 'bench',
    names: [NAME],
    receive: async (/** @type {any} */ { event, receipt }) => {
      side.latenciesMs.push(performance.now() - Number(event.data.sentAt));
      await receipt.done();
      side.settled += 1;
    },
  });
  return side;
}

/** A transaction that sees everything that is deleted from now on. @param {string} url */
async function keepReading(url) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  closers.add(() => client.end());
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await client.query('SELECT count(*) FROM bus.messages');
}

/** At an even rate, however long a publish takes. @param {number} forMs @param {readonly Side[]} sides */
async function publishFor(forMs, sides) {
  const begin = performance.now();
  /** @type {Promise<void>[]} */
  const publishing = [];
  for (let sent = 0; sent < (forMs / 1_000) * rate;) {
    const due = Math.min(forMs, performance.now() - begin) * (rate / 1_000);
    for (; sent < due; sent += 1) {
      for (const side of sides) publishing.push(publish(side, sent));
    }
    await pause(TICK_MS, undefined, { signal: ending.signal });
  }
  await Promise.all(publishing);
  const areSettled = async () => sides.every((side) => side.settled >= side.published) || undefined;
  await until('not all events are settled', areSettled, { timeoutMs: 300_000, signal: ending.signal });
}

/** @param {Side} side @param {number} n */
async function publish(side, n) {
  const memberId = String(n % PORTALS).padStart(32, '0');
  const entityId = String(1 + (n % 10_000));
  side.published += 1;
  await side.bus.publish({
    id: randomUUID(),
    memberId,
    name: NAME,
    entityTypeId: 0,
    entityId,
    entity: `CRMCONTACT:${entityId}`,
    data: { FIELDS: { ID: entityId }, sentAt: String(performance.now()) },
    ts: Math.floor(Date.now() / 1_000),
    receivedAt: Date.now(),
  });
}

/** @param {Side} side */
function reset(side) {
  side.latenciesMs = [];
  side.settled = 0;
  side.published = 0;
  side.cpuBefore = side.databaseCpu.seconds();
}

/** @param {Side} side @param {number} minute @returns {Measured} */
function resultOf({ title, latenciesMs, settled, databaseCpu, cpuBefore }, minute) {
  return {
    title,
    minute,
    events: settled,
    medianMs: median(latenciesMs),
    p99Ms: quantile(latenciesMs, 0.99),
    micros: (1e6 * (databaseCpu.seconds() - cpuBefore)) / settled,
  };
}

/** @param {readonly Measured[]} results */
function show(results) {
  const ends = results.filter(({ minute }) => minute === 1 || minute === minutes);
  console.log(
    `\n${table(['transaction', 'minute', 'events', 'latency', 'p99', 'database'], ends.map(cellsOf))}`,
  );
  const [without, beside] = ['without', 'with'].map((title) => {
    const [first, last] = ends.filter((result) => result.title === title);
    if (!first || !last) throw new Error('a growth needs two minutes');
    return { time: last.medianMs / first.medianMs, cpu: last.micros / first.micros };
  });
  if (!without || !beside) throw new Error('two systems are compared');
  for (const key of /** @type {const} */ (['time', 'cpu'])) {
    console.log(
      `${key}: the last minute is ${beside[key].toFixed(2)} times the first with the transaction, ${without[key].toFixed(2)} without`,
    );
    if (!(beside[key] <= REACH)) process.exitCode = 1;
  }
  console.log(`To be reached: ${REACH} with it`);
}

/** @param {Measured} measured */
function cellsOf({ title, minute, events, medianMs, p99Ms, micros }) {
  return [
    title,
    String(minute),
    grouped(events),
    `${medianMs.toFixed(1)} ms`,
    `${p99Ms.toFixed(1)} ms`,
    `${micros.toFixed(0)} µs`,
  ];
}
