/**
 * The gateway beside the least that does the same work for an event: decode the form, authenticate it by its token,
 * publish the message with the same guarantee, answer 200. The least is `node:http` with amqplib (or pg) alone; Nest on
 * Fastify and on Express stand between the two. To be reached: 1.3 times the CPU of the least.
 *
 * How to read the table. All servers run at once, each in a process of its own with the memory options of
 * `docker-compose.yml`, and are loaded in turns: one round is so many requests to each of them, over keep-alive
 * connections that each have one request in flight. Each round compares a server with the least of the same round; the
 * ratios are medians of the rounds, since another load of this machine changes the figures and hardly the ratios. CPU is
 * that of the whole process for each 200. The gateway writes the event log, as it does by default, and in a second turn of each round it does
 * not: it is switched off in the running process, which shows what the log costs (to be reached: 5 % of the gateway's CPU; `npm run
 * bench -- event-log` measures that longer, and a consumer too). Before the rounds each server publishes the same event, and the benchmark
 * fails if the stored messages differ. `busy` is how much of this machine's time was used.
 *
 * `npm run bench -- gateway [--rounds 7] [--requests 10000] [--connections 64] [--portals 16]`
 * `[--bus rabbitmq|postgresql] [--only bare|no-event-log|nest-fastify|nest-express]`; on Linux alone; about
 * three minutes as it stands.
 */
import { deepStrictEqual } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBusStore } from './gateway/bus-store.mjs';
import { EXPRESS_PACKAGE } from './gateway/nest-server.mjs';
import { readOptions } from './gateway/options.mjs';
import { Load, startServer } from './gateway/processes.mjs';
import { BusyWatch } from './support/busy-watch.mjs';
import { threadSeconds } from './support/cpu.mjs';
import { EventLogSwitch } from './support/event-log-rounds.mjs';
import { estimate } from './support/paired.mjs';
import { eventBody, Portal } from './support/portal.mjs';
import { median } from './support/quantiles.mjs';
import { Closers, deployedMemory, startSystem } from './support/system.mjs';
import { grouped, table } from './support/table.mjs';

const REACH = 1.3;
const LEAST = 'bare';
/** The same gateway without the event log. */
const NO_LOG = 'no-event-log';
const LOG_SHARE = 0.05;
const ROUND_TIMEOUT_MS = 120_000;

/** @typedef {{ kind: string, title: string, port: number, pid: number }} Server */
/** @typedef {{ round: number, kind: string, cpuMicros: number, perSecond: number, p50Ms: number, p99Ms: number, busy: number }} Measured */

const options = readOptions(process.argv.slice(2));
const ending = new AbortController();
const closers = new Closers();
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => ending.abort(new Error(signal)));

try {
  execFileSync(process.execPath, [join(import.meta.dirname, '../scripts/prepare.mjs')], { stdio: 'inherit' });
  const { signal } = ending;
  const system = await startSystem([], options.bus, closers, signal, { imports: [EventLogSwitch.file] });
  console.log(
    `${grouped(options.requests)} requests a round over ${options.connections} connections; ${system.description}`,
  );
  const store = await openBusStore(system, closers);
  const grants = await installPortals(system, options.portals, signal);
  const servers = await startServers(system, grants);
  const load = new Load(closers);
  const bodies = grants.map(eventBody);
  await requireEqualMessages(servers, load, store, bodies);
  // The first round is not counted: the code is not compiled yet.
  const log = new EventLogSwitch(system, ['gateway'], signal);
  const results = await measureRounds(servers, load, store, bodies, log, signal);
  show(results, servers);
} finally {
  await closers.close();
}

/** @param {import('./support/system.mjs').System} system @param {number} count @param {AbortSignal} signal */
async function installPortals({ simulatorUrl, gatewayUrl }, count, signal) {
  const grants = [];
  for (let n = 1; n <= count; n += 1) {
    const settings = { rate: 1_000, burst: 10_000, latencyMs: 0 };
    const portal = await Portal.create(simulatorUrl, `portal-${n}`, settings, signal);
    grants.push(await portal.install(`${gatewayUrl}/b24/install`));
  }
  return grants;
}

/** @param {import('./support/system.mjs').System} system @param {import('./support/portal.mjs').Grant[]} grants */
async function startServers(system, grants) {
  const gateway = system.apps['gateway'];
  if (!gateway) throw new Error('the system has no gateway');
  const env = deployedMemory('gateway');
  /** @type {Server[]} */
  const servers = [
    { kind: 'gateway', title: 'gateway', port: Number(new URL(system.gatewayUrl).port), pid: gateway.pid() },
  ];
  if (options.only === undefined || options.only === NO_LOG) {
    const [same] = servers;
    if (same) servers.push({ ...same, kind: NO_LOG, title: 'without event log' });
  }
  const driver = options.bus === 'postgresql' || system.amqpUrl === undefined ? 'pg' : 'amqplib';
  /** @type {[import('./gateway/server.mjs').ServerKind, string][]} */
  const others = [
    ['bare', `node:http and ${driver}`],
    ['nest-fastify', 'Nest on Fastify'],
    ['nest-express', 'Nest on Express'],
  ];
  for (const [kind, title] of others) {
    if (options.only !== undefined && options.only !== kind) continue;
    if (kind === 'nest-express' && !isInstalled(EXPRESS_PACKAGE)) {
      console.log(`${title} is left out; to measure it: npm install --no-save ${EXPRESS_PACKAGE}@12`);
      continue;
    }
    servers.push({ kind, title, ...(await startServer(kind, system, grants, env, closers)) });
  }
  return servers;
}

/** @param {string} name */
function isInstalled(name) {
  try {
    return Boolean(import.meta.resolve(name));
  } catch {
    return false;
  }
}

/** @param {Server[]} servers @param {Load} load @param {import('./gateway/bus-store.mjs').BusStore} store @param {string[]} bodies */
async function requireEqualMessages(servers, load, store, bodies) {
  const wrong = (bodies[0] ?? '').replace(/(application_token%5D=)\w+/, '$1wrong');
  await store.empty();
  const stored = [];
  for (const { port, title } of servers) {
    const once = { port, requests: 1, connections: 1, timeoutMs: ROUND_TIMEOUT_MS };
    const { accepted } = await load.run({ ...once, bodies });
    const rejected = await load.run({ ...once, bodies: [wrong] });
    if (accepted !== 1 || rejected.accepted !== 0) throw new Error(`${title} does not check the token`);
    const { event, ...envelope } = await store.takeOne();
    // These two differ from one receipt of an event to the next.
    stored.push({ ...envelope, event: { ...event, id: 'any', receivedAt: 0 } });
  }
  for (const message of stored) deepStrictEqual(message, stored[0]);
}

/**
 * @param {Server[]} servers
 * @param {Load} load
 * @param {import('./gateway/bus-store.mjs').BusStore} store
 * @param {string[]} bodies
 * @param {EventLogSwitch} log
 * @param {AbortSignal} signal
 */
async function measureRounds(servers, load, store, bodies, log, signal) {
  /** @type {Measured[]} */
  const results = [];
  for (let round = 0; round <= options.rounds; round += 1) {
    // In turns, so that the gateway is not always the first.
    for (const { kind, title, port, pid } of round % 2 === 0 ? servers : servers.toReversed()) {
      signal.throwIfAborted();
      await log.turn(kind !== NO_LOG);
      const busy = new BusyWatch();
      const before = threadSeconds(pid);
      const { requests, connections } = options;
      const answers = await load.run({ port, bodies, requests, connections, timeoutMs: ROUND_TIMEOUT_MS });
      const share = busy.share();
      // The last rows of the log are written, too.
      await sleep(EventLogSwitch.lingerMs);
      const cpu = threadSeconds(pid) - before;
      await log.check(kind === 'gateway' ? requests : 0);
      const stored = await store.empty();
      if (answers.others > 0 || stored < answers.accepted) {
        throw new Error(`${title}: ${answers.others} answers were not 200, ${stored} messages were stored`);
      }
      const { accepted, seconds, p50Ms, p99Ms } = answers;
      const measured = {
        round,
        kind,
        cpuMicros: (1e6 * cpu) / accepted,
        perSecond: accepted / seconds,
        p50Ms,
        p99Ms,
        busy: share,
      };
      if (round > 0) results.push(measured);
      console.log(
        `${round || 'warm-up'}  ${title}  ${measured.cpuMicros.toFixed(0)} µs  ${grouped(measured.perSecond)}/s  p99 ${p99Ms.toFixed(1)} ms  busy ${Math.round(100 * share)} %`,
      );
    }
  }
  return results;
}

/** @param {Measured[]} results @param {Server[]} servers */
function show(results, servers) {
  const heads = [
    '',
    'CPU per 200',
    'ratio',
    'least',
    'most',
    '200s/s',
    'ratio',
    'p50',
    'p99',
    'ratio',
    'busy',
  ];
  const rows = servers.map(({ kind, title }) => {
    const own = results.filter((result) => result.kind === kind);
    const values = (/** @type {keyof Measured} */ key) => median(own.map((result) => Number(result[key])));
    const cpuRatios = ratiosOf(results, kind, 'cpuMicros');
    return [
      title,
      `${values('cpuMicros').toFixed(0)} µs`,
      spelled(median(cpuRatios)),
      spelled(Math.min(...cpuRatios)),
      spelled(Math.max(...cpuRatios)),
      grouped(values('perSecond')),
      spelled(median(ratiosOf(results, kind, 'perSecond'))),
      `${values('p50Ms').toFixed(1)} ms`,
      `${values('p99Ms').toFixed(1)} ms`,
      spelled(median(ratiosOf(results, kind, 'p99Ms'))),
      `${Math.round(100 * values('busy'))} %`,
    ];
  });
  console.log(`\n${table(heads, rows)}`);
  if (servers.some(({ kind }) => kind === NO_LOG)) {
    const shares = ratiosOf(results, 'gateway', 'cpuMicros', NO_LOG).map((ratio) => 1 - 1 / ratio);
    const { least, most } = estimate(shares);
    console.log(
      `\nCPU of the event log: ${percent(median(shares))} of the gateway's (at 95 %: ${percent(least)} to ${percent(most)}). To be reached: ${percent(LOG_SHARE)}`,
    );
    if (!(median(shares) <= LOG_SHARE)) process.exitCode = 1;
  }
  if (!servers.some(({ kind }) => kind === LEAST)) return;
  const ratio = median(ratiosOf(results, 'gateway', 'cpuMicros'));
  console.log(`\nCPU of the gateway: ${spelled(ratio)} times the least. To be reached: ${REACH}`);
  if (!(ratio <= REACH)) process.exitCode = 1;
}

/** @param {number} share */
function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

/** Of each round, against another in the same round. @param {Measured[]} results @param {string} kind @param {keyof Measured} key */
function ratiosOf(results, kind, key, against = LEAST) {
  return results
    .filter((result) => result.kind === kind)
    .map((own) => {
      const least = results.find(({ round, kind: other }) => round === own.round && other === against);
      return Number(own[key]) / Number(least?.[key] ?? NaN);
    });
}

/** @param {number} value */
function spelled(value) {
  return Number.isFinite(value) ? value.toFixed(2) : '–';
}
