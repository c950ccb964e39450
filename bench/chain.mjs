/**
 * The whole chain, from the POST of an event to its handler's end: events a second, and the CPU of each process for one
 * event, beside another checkout in turns. To be reached: 1.5 times the events of the commit before on RabbitMQ, 2.5
 * times on PostgreSQL, and an idle system no slower.
 *
 * How to read the table. Each checkout has a system of its own: simulator, gateway, control plane, name-formatter, a
 * database and a virtual host. One round posts so many events, each of another contact, to one system while the other is
 * idle, and is over when name-formatter has settled them all. The names are right, so nothing is written. The ratios are
 * medians of the rounds, each against the other checkout in the same round. `latency` is from the POST of one event, with
 * nothing else to do, to the corrected contact at the portal. `database` is the CPU of the system's connections to
 * PostgreSQL. CPU on Linux alone.
 *
 * `npm run bench -- chain [--against <checkout>] [--bus rabbitmq|postgresql] [--events 30000] [--portals 40] [--rounds 5]`.
 * The other checkout is built first: `npm ci && npm run build` in it. About three minutes as it stands.
 */
import { execFileSync } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { EventPoster } from './support/event-poster.mjs';
import { inParallel } from './support/in-parallel.mjs';
import { metric } from './support/metrics.mjs';
import { cpuSeconds, DatabaseCpu } from './support/cpu.mjs';
import { busOf, number } from './support/options.mjs';
import { Portal } from './support/portal.mjs';
import { median } from './support/quantiles.mjs';
import { Closers, startSystem } from './support/system.mjs';
import { grouped, table } from './support/table.mjs';
import { until } from './support/wait.mjs';

const CONNECTIONS = 64;
const ROUND_TIMEOUT_MS = 300_000;
const REACH = { rabbitmq: 1.5, postgresql: 2.5 };

/** @typedef {{ title: string, system: import('./support/system.mjs').System, portals: Portal[], senders: import('./support/portal.mjs').Grant[], poster: EventPoster, databaseCpu: DatabaseCpu }} Side */
/** @typedef {{ title: string, perSecond: number, gateway: number, consumer: number, database: number, latencyMs: number }} Measured */

const { values } = parseArgs({
  options: {
    against: { type: 'string' },
    bus: { type: 'string' },
    events: { type: 'string', default: '30000' },
    portals: { type: 'string', default: '40' },
    rounds: { type: 'string', default: '5' },
  },
});
const options = {
  bus: busOf(values.bus),
  events: number('events', values.events),
  portals: number('portals', values.portals),
  rounds: number('rounds', values.rounds),
};
const ending = new AbortController();
const closers = new Closers();
// Every request in flight adds a listener.
setMaxListeners(0, ending.signal);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => ending.abort(new Error(signal)));

try {
  execFileSync(process.execPath, [join(import.meta.dirname, '../scripts/prepare.mjs')], { stdio: 'inherit' });
  const sides = [await openSide('this')];
  if (values.against !== undefined) sides.push(await openSide('against', { root: resolve(values.against) }));
  console.log(
    `${grouped(options.events)} events of ${options.portals} portals a round; ${sides[0]?.system.description}`,
  );
  /** @type {Measured[]} */
  const results = [];
  // The first round is not counted: the code is not compiled yet.
  for (let round = 0; round <= options.rounds; round += 1) {
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      const measured = await measure(side, round);
      console.log([round || 'warm-up', ...cellsOf(measured)].join('  '));
      if (round > 0) results.push(measured);
    }
  }
  show(results);
} finally {
  await closers.close();
}

/** @param {string} title @param {{ root?: string, changes?: Record<string, string> }} [how] @returns {Promise<Side>} */
async function openSide(title, how = {}) {
  const { signal } = ending;
  const system = await startSystem(['name-formatter'], options.bus, closers, signal, how);
  const { simulatorUrl, gatewayUrl } = system;
  /** @type {Portal[]} */
  const portals = [];
  /** @type {import('./support/portal.mjs').Grant[]} */
  const senders = [];
  for (let n = 1; n <= options.portals; n += 1) {
    const portal = await Portal.create(
      simulatorUrl,
      `portal-${n}`,
      { rate: 1_000, burst: 10_000, latencyMs: 0 },
      signal,
    );
    await portal.seed(Math.ceil(options.events / options.portals));
    senders.push(await portal.install(`${gatewayUrl}/b24/install`));
    portals.push(portal);
  }
  await until(
    'not all events are bound',
    async () => {
      const bound = await Promise.all(
        portals.map((portal) => portal.isBound('ONCRMCONTACTUPDATE', `${gatewayUrl}/b24/events`)),
      );
      return bound.every(Boolean) || undefined;
    },
    { timeoutMs: ROUND_TIMEOUT_MS, signal },
  );
  const poster = new EventPoster(gatewayUrl, CONNECTIONS);
  closers.add(() => poster.close());
  const databaseCpu = new DatabaseCpu(system.databaseUrl);
  closers.add(() => databaseCpu.stop());
  return { title, system, portals, senders, poster, databaseCpu };
}

/** @param {Side} side @param {number} round @returns {Promise<Measured>} */
async function measure(side, round) {
  const { senders, poster } = side;
  const consumer = appOf(side, 'name-formatter');
  const latencyMs = await idleLatency(side, 1 + round);
  const settled = () => metric(consumer.opsUrl, 'relay_bus_settled_total', ending.signal);
  const before = await settled();
  const cpuBefore = cpuOf(side);
  const begin = performance.now();
  const each = Math.ceil(options.events / senders.length);
  const events = Array.from({ length: each * senders.length }, (_, n) => n);
  await inParallel(events, CONNECTIONS, async (n) => {
    const sender = senders[n % senders.length];
    if (sender) await poster.post(sender, 1 + Math.floor(n / senders.length));
  });
  await until(
    'not all events are settled',
    async () => ((await settled()) - before >= events.length ? true : undefined),
    {
      everyMs: 100,
      timeoutMs: ROUND_TIMEOUT_MS,
      signal: ending.signal,
    },
  );
  const seconds = (performance.now() - begin) / 1_000;
  const cpu = cpuOf(side);
  const micros = (/** @type {keyof typeof cpu} */ key) => (1e6 * (cpu[key] - cpuBefore[key])) / events.length;
  return {
    title: side.title,
    perSecond: events.length / seconds,
    gateway: micros('gateway'),
    consumer: micros('consumer'),
    database: micros('database'),
    latencyMs,
  };
}

/** @param {Side} side */
function cpuOf(side) {
  return {
    gateway: cpuSeconds(appOf(side, 'gateway').pid()) ?? NaN,
    consumer: cpuSeconds(appOf(side, 'name-formatter').pid()) ?? NaN,
    database: side.databaseCpu.seconds(),
  };
}

/**
 * Of one event of each portal, with nothing else to do, until the contact is right.
 * @param {Side} side
 * @param {number} id a contact that was not corrected before: name-formatter gives way to whoever writes a name back
 */
async function idleLatency(side, id) {
  const { portals, senders, poster } = side;
  const { signal } = ending;
  const { opsUrl } = appOf(side, 'name-formatter');
  const settled = () => metric(opsUrl, 'relay_bus_settled_total', signal);
  const limits = { timeoutMs: ROUND_TIMEOUT_MS, signal };
  const waitsMs = [];
  for (const [n, portal] of portals.entries()) {
    const sender = senders[n];
    if (!sender) throw new Error('a portal without a grant');
    await portal.spoilInSilence(id);
    const written = (await portal.stats()).calls['crm.item.update'] ?? 0;
    const before = await settled();
    const begin = performance.now();
    await poster.post(sender, id);
    const isWritten = async () =>
      ((await portal.stats()).calls['crm.item.update'] ?? 0) > written || undefined;
    await until('a contact is not corrected', isWritten, { ...limits, everyMs: 1 });
    waitsMs.push(performance.now() - begin);
    // The portal sends an event for the write, too.
    const isCalm = async () => (await settled()) >= before + 2 || undefined;
    await until('the event of the write is not settled', isCalm, { ...limits, everyMs: 5 });
  }
  return median(waitsMs);
}

/** @param {Side} side @param {string} name */
function appOf({ system }, name) {
  const app = system.apps[name];
  if (!app) throw new Error(`${name} does not run`);
  return app;
}

/** @param {Measured[]} results */
function show(results) {
  const titles = [...new Set(results.map(({ title }) => title))];
  const heads = ['', 'events/s', 'gateway', 'consumer', 'database', 'latency'];
  const of = (/** @type {string} */ title) => results.filter((result) => result.title === title);
  const rows = titles.map((title) => {
    const own = of(title);
    const middle = (/** @type {Exclude<keyof Measured, 'title'>} */ key) =>
      median(own.map((result) => result[key]));
    return cellsOf({
      title,
      perSecond: middle('perSecond'),
      gateway: middle('gateway'),
      consumer: middle('consumer'),
      database: middle('database'),
      latencyMs: middle('latencyMs'),
    });
  });
  console.log(`\n${table(heads, rows)}`);
  if (!titles.includes('against')) return;
  const ratio = median(
    of('this').map((own, round) => own.perSecond / (of('against')[round]?.perSecond ?? NaN)),
  );
  const reach = REACH[options.bus ?? 'rabbitmq'];
  console.log(`\nEvents a second: ${ratio.toFixed(2)} times the other checkout. To be reached: ${reach}`);
  if (!(ratio >= reach)) process.exitCode = 1;
}

/** @param {Measured} measured */
function cellsOf({ title, perSecond, gateway, consumer, database, latencyMs }) {
  const micros = [gateway, consumer, database].map((each) => `${each.toFixed(0)} µs`);
  return [title, grouped(perSecond), ...micros, `${latencyMs.toFixed(1)} ms`];
}
