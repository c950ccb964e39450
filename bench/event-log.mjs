/**
 * What the event log costs: its share of the CPU that the gateway and a consumer take for one event. To be reached: 5 % of each,
 * proved, that is also at the upper end of the interval.
 *
 * How to read it. One system, whose gateway and name-formatter write the log in some rounds and not in others: it is switched in the
 * running processes, so that nothing else differs. A block is four rounds, on, off, off, on, so that what grows or falls slowly
 * falls on both alike, and the rounds are short for what comes and goes on a shared machine; its share is 1 - off / on. The events come at a rate that leaves the machine some time, since what a
 * consumer takes for an event depends on how many it has at once. A round ends half a second after the last event is settled, when the log has
 * been written too. CPU is of all threads, by the scheduler, in nanoseconds. The interval is that of the median of the blocks, by
 * bootstrap, at 95 %. What the log costs the database is told for all of its connections. At the end the log's writer runs by itself,
 * in a process that does nothing else: what it takes there, beside what the service takes for an event, is what the log costs directly, and
 * hardly varies; what it costs by the caches and the memory that it shares is in the rounds alone.
 *
 * `npm run bench -- event-log [--blocks 40] [--events 600] [--per-second 400] [--portals 40] [--bus rabbitmq|postgresql]`; on
 * Linux alone; about seven minutes as it stands.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Load } from './gateway/processes.mjs';
import { DatabaseCpu, threadSeconds } from './support/cpu.mjs';
import { formOf } from './support/event-poster.mjs';
import { writerMicros } from './support/event-log-alone.mjs';
import { EventLogSwitch } from './support/event-log-rounds.mjs';
import { metric } from './support/metrics.mjs';
import { busOf, number } from './support/options.mjs';
import { estimate } from './support/paired.mjs';
import { Portal } from './support/portal.mjs';
import { median } from './support/quantiles.mjs';
import { Closers, startSystem } from './support/system.mjs';
import { table } from './support/table.mjs';
import { until } from './support/wait.mjs';

const REACH = 0.05;
const CONNECTIONS = 32;
const ROUND_TIMEOUT_MS = 120_000;
const CONSUMER = 'name-formatter';
const CONTACTS = 100;
const BLOCK = [true, false, false, true];

const { values } = parseArgs({
  options: {
    blocks: { type: 'string', default: '40' },
    events: { type: 'string', default: '600' },
    'per-second': { type: 'string', default: '400' },
    portals: { type: 'string', default: '40' },
    bus: { type: 'string' },
  },
});
const blocks = number('blocks', values.blocks);
const events = number('events', values.events);
const perSecond = number('per-second', values['per-second']);
const portalCount = number('portals', values.portals);
const ending = new AbortController();
const { signal } = ending;
const closers = new Closers();
for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => ending.abort(new Error(name)));

/** @typedef {{ gateway: number, consumer: number, database: number }} Micros of one event */

try {
  execFileSync(process.execPath, [join(import.meta.dirname, '../scripts/prepare.mjs')], { stdio: 'inherit' });
  const system = await startSystem([CONSUMER], busOf(values.bus), closers, signal, {
    imports: [EventLogSwitch.file],
  });
  console.log(`${events} events a round, ${perSecond} a second; ${system.description}`);
  const bodies = await openPortals(system);
  const databaseCpu = new DatabaseCpu(system.databaseUrl);
  closers.add(() => databaseCpu.stop());
  const load = new Load(closers);
  const log = new EventLogSwitch(system, ['gateway', CONSUMER], signal);
  /** @type {{ on: Micros, off: Micros }[]} */
  const results = [];
  // The first block is not counted: the code is not compiled yet.
  for (let block = 0; block <= blocks; block += 1) {
    /** @type {Map<boolean, Micros[]>} */
    const rounds = new Map([
      [true, []],
      [false, []],
    ]);
    for (const isOn of BLOCK)
      rounds.get(isOn)?.push(await measure(system, load, bodies, log, isOn, databaseCpu));
    const result = { on: meanOf(rounds.get(true) ?? []), off: meanOf(rounds.get(false) ?? []) };
    console.log(
      [block || 'warm-up', ...keys().map((key) => `${key} ${percent(shareOf(result, key))}`)].join('  '),
    );
    if (block > 0) results.push(result);
  }
  show(results, await writerMicros(system.databaseUrl, events, perSecond));
} finally {
  await closers.close();
}

/** @param {import('./support/system.mjs').System} system @returns {Promise<string[]>} the events, each of another contact */
async function openPortals({ simulatorUrl, gatewayUrl }) {
  /** @type {string[]} */
  const bodies = [];
  for (let n = 1; n <= portalCount; n += 1) {
    const settings = { rate: 1_000, burst: 10_000, latencyMs: 0 };
    const portal = await Portal.create(simulatorUrl, `portal-${n}`, settings, signal);
    await portal.seed(CONTACTS);
    const sender = await portal.install(`${gatewayUrl}/b24/install`);
    await until(
      'not all events are bound',
      async () => (await portal.isBound('ONCRMCONTACTUPDATE', `${gatewayUrl}/b24/events`)) || undefined,
      { timeoutMs: ROUND_TIMEOUT_MS, signal },
    );
    for (let id = 1; id <= CONTACTS; id += 1) bodies.push(formOf(sender, id, id));
  }
  // In turns: one contact of each portal, then the next ones.
  return bodies.map(
    (_, index) => bodies[(index % portalCount) * CONTACTS + Math.floor(index / portalCount)] ?? '',
  );
}

/**
 * @param {import('./support/system.mjs').System} system
 * @param {Load} load
 * @param {string[]} bodies
 * @param {EventLogSwitch} log
 * @param {boolean} isOn
 * @param {DatabaseCpu} databaseCpu
 * @returns {Promise<Micros>}
 */
async function measure(system, load, bodies, log, isOn, databaseCpu) {
  const [gateway, consumer] = [system.apps['gateway'], system.apps[CONSUMER]];
  if (!gateway || !consumer) throw new Error('the gateway and the consumer do not run');
  await log.turn(isOn);
  const settled = () => metric(consumer.opsUrl, 'relay_bus_settled_total', signal);
  const before = await settled();
  const readCpu = () => ({
    gateway: threadSeconds(gateway.pid()),
    consumer: threadSeconds(consumer.pid()),
    database: databaseCpu.seconds(),
  });
  const cpuBefore = readCpu();
  const port = Number(new URL(system.gatewayUrl).port);
  const order = { port, bodies, requests: events, connections: CONNECTIONS, timeoutMs: ROUND_TIMEOUT_MS };
  const { others } = await load.run({ ...order, perSecond });
  if (others > 0) throw new Error(`${others} answers of the gateway were not 200`);
  await until('not all events are settled', async () => (await settled()) - before >= events || undefined, {
    everyMs: 100,
    timeoutMs: ROUND_TIMEOUT_MS,
    signal,
  });
  // As long in each round, for a process that waits takes something too.
  await sleep(EventLogSwitch.lingerMs);
  const cpu = readCpu();
  await log.check(isOn ? 2 * events : 0);
  const micros = (/** @type {keyof Micros} */ key) => (1e6 * (cpu[key] - cpuBefore[key])) / events;
  return { gateway: micros('gateway'), consumer: micros('consumer'), database: micros('database') };
}

/** @param {{ on: Micros, off: Micros }[]} results @param {{ gateway: number, consumer: number }} writer its microseconds */
function show(results, writer) {
  const rows = keys().map((key) => {
    const shares = results.map((result) => shareOf(result, key));
    const share = estimate(shares);
    return [
      key,
      `${median(results.map(({ on }) => on[key])).toFixed(0)} µs`,
      `${median(results.map(({ off }) => off[key])).toFixed(0)} µs`,
      percent(share.median),
      `${percent(share.least)} to ${percent(share.most)}`,
      `${percent(Math.min(...shares))} to ${percent(Math.max(...shares))}`,
    ];
  });
  const heads = ['CPU of one event', 'with the log', 'without', 'share', 'at 95 %', 'blocks'];
  console.log(`\n${table(heads, rows)}\n`);
  for (const key of /** @type {const} */ (['gateway', 'consumer'])) {
    const { least, most } = estimate(results.map((result) => shareOf(result, key)));
    const verdict = most <= REACH ? 'reached' : least > REACH ? 'not reached' : 'not decided by these blocks';
    const alone = writer[key] / median(results.map(({ on }) => on[key]));
    console.log(
      `The ${key}: ${verdict}; the writer by itself: ${writer[key].toFixed(1)} µs, ${percent(alone)}. To be reached: ${percent(REACH)}`,
    );
    if (least > REACH || alone > REACH) process.exitCode = 1;
  }
}

/** @returns {(keyof Micros)[]} */
function keys() {
  return ['gateway', 'consumer', 'database'];
}

/** @param {{ on: Micros, off: Micros }} result @param {keyof Micros} key */
function shareOf({ on, off }, key) {
  return 1 - off[key] / on[key];
}

/** @param {readonly Micros[]} rounds @returns {Micros} */
function meanOf(rounds) {
  const mean = (/** @type {keyof Micros} */ key) =>
    rounds.reduce((sum, round) => sum + round[key], 0) / rounds.length;
  return { gateway: mean('gateway'), consumer: mean('consumer'), database: mean('database') };
}

/** @param {number} share */
function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}
