/** One run: load, faults, and then time to drain; its result is the ledger. */
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { randomBytes } from 'node:crypto';
import { deadLettersIn, elsewhereIn, journalledIn, unroutedIn, waitingIn } from './bus-view.mjs';
import { ChangingPortals } from './changing-portals.mjs';
import { faultsOf, gatewaysAway } from './faults.mjs';
import { Ledger } from './ledger.mjs';
import { ledgerServer } from './ledger-server.mjs';
import { Random } from './random.mjs';
import { finishUpgrade } from './rollback.mjs';
import { make, plan } from './schedule.mjs';
import { Sender } from './sender.mjs';
import { startSystem } from './system.mjs';
import { Traffic, makePortals } from './traffic.mjs';

/** RabbitMQ 3.10.8 leaves a quorum queue without a leader for minutes when it is killed right after declaring it. */
const warmUpMs = 10_000;
const drainTimeoutMs = 300_000;
/** The bus must be empty for this long: longer than an orphaned journal slot waits to be drained (30 s). */
const quietMs = 60_000;
/** In mode `both` an idle queue is read every six minutes at the least. */
const offlineDrainMs = { timeoutMs: 900_000, quietMs: 420_000 };

/**
 * @typedef {object} Options
 * @property {import('./system.mjs').Bus} bus
 * @property {'online' | 'both'} mode `online`: the harness sends events, and what was answered must be handled. `both`: contacts of
 *   simulated portals change while the gateways are away half of the time, and every change must be handled
 * @property {number} seconds in which faults are made
 * @property {number} seed
 * @property {number} portals
 * @property {number} rate events, or changes, a second
 * @property {number} gateways
 * @property {number} consumers
 * @property {string} only kinds of faults with this in their name
 */
/**
 * @typedef {object} Report
 * @property {Options} options
 * @property {string} disk
 * @property {import('./ledger.mjs').Summary} ledger
 * @property {number} journalled at least: what a gateway counted in the last second before it was killed is not in it
 * @property {import('./schedule.mjs').Made[]} faults
 * @property {import('./replica.mjs').UnaskedEnd[]} unaskedEnds
 * @property {Stranded} stranded
 * @property {string[]} lost
 * @property {string[]} histories of what was lost
 * @property {Record<string, number>} dead letters by code
 * @property {number} left messages on the bus at the end
 * @property {number} drainMs
 * @property {Record<string, number>} posted in mode `both`: what became of the events that portals posted
 */

/**
 * What was accepted and lies at the end where nobody will come for it by itself.
 * @typedef {object} Stranded
 * @property {number} waiting on the bus, those that wait for their next attempt included
 * @property {number} unrouted the bus kept them for nobody, though the consumer wants every one
 * @property {number} journalled in the gateways' journals, those set aside included
 * @property {number} elsewhere on the bus that is not in use
 * @property {number} reserved in the offline queues of portals
 */

/**
 * @param {Options} options
 * @param {{ folder: string, closers: import('./closers.mjs').Closers, signal: AbortSignal, say: (line: string) => void }} context
 * @returns {Promise<Report>}
 */
export async function runChaos(options, { folder, closers, signal, say }) {
  const random = new Random(options.seed);
  const [ofPortals, ofTraffic, ofPlan, ofLedger] = [
    random.fork(),
    random.fork(),
    random.fork(),
    random.fork(),
  ];
  const portals = options.mode === 'online' ? makePortals(options.portals, ofPortals) : [];
  const application = { id: 'local.chaos', secret: randomBytes(16).toString('hex') };
  const changing = options.mode === 'both' ? await ChangingPortals.start(application) : undefined;
  if (changing) closers.add(changing.simulator.close);
  let faultsBeganAt = performance.now();
  const ledger = new Ledger(() => Math.round(performance.now() - faultsBeganAt));
  const server = await ledgerServer(ledger, ofLedger);
  closers.add(server.close);
  /** @type {import('./replica.mjs').UnaskedEnd[]} */
  const unaskedEnds = [];
  const system = await startSystem(
    {
      ...options,
      portals,
      changing,
      application,
      ledgerUrl: server.url,
      folder,
      onEnd: (processName) => ledger.died(processName),
      onUnaskedEnd: (end) => {
        unaskedEnds.push(end);
        say(`${end.process} ended by itself${end.whileStarting ? ' while it started' : ''}`);
      },
    },
    closers,
  );
  const gateways = system.gateways.map(({ replica }, index) => ({
    url: system.gatewayUrls[index] ?? '',
    isUp: () => replica.state === 'up',
  }));
  const sender = changing ?? new Sender(ledger, new Traffic(portals, ofTraffic), gateways, options.rate);
  const journalled = countJournalled(system.gateways, signal);
  const wait = async (/** @type {number} */ ms) => pause(ms, undefined, { signal });

  say(`the journal is on ${system.disk.kind}`);
  if (sender instanceof Sender) sender.start();
  else {
    await sender.install(options.portals, new URL(system.front?.url ?? '').origin);
    say('everything is bound, online and offline');
    sender.change(ledger, ofTraffic, options.rate);
  }
  closers.add(() => sender.stop());
  await wait(warmUpMs);
  const chosen = faultsOf(options.bus, options.mode).filter(
    ({ kind, leastSeconds = 0 }) => kind.includes(options.only) && options.seconds >= leastSeconds,
  );
  const planned = [
    ...plan(chosen, system, options.seconds, ofPlan),
    ...(changing ? planAway(options.seconds * 1_000, ofPlan) : []),
  ].toSorted((one, other) => one.atMs - other.atMs);
  faultsBeganAt = performance.now();
  const faults = await make(planned, system, { wait, tell: (made) => say(lineOf(made)) });
  await sender.stop();
  say('the faults are over, and nothing more is sent');
  await finishUpgrade(system);
  const drained = await drain(ledger, system, wait, changing);
  return {
    options,
    disk: system.disk.kind,
    ledger: ledger.summary(),
    journalled: journalled(),
    faults,
    unaskedEnds,
    ...drained,
    posted: (await changing?.answers()) ?? {},
    stranded: { ...(await strandedIn(system, drained.left)), reserved: (await changing?.reserved()) ?? 0 },
    histories: drained.lost.map((thing) => [thing, ...ledger.historyOf(thing)].join('\n')),
  };
}

/**
 * Nothing reaches the gateways for as long as it did before, in one way after the other.
 * @param {number} untilMs
 * @param {Random} random
 * @returns {import('./schedule.mjs').Planned[]}
 */
function planAway(untilMs, random) {
  /** @type {import('./schedule.mjs').Planned[]} */
  const planned = [];
  /** @type {import('./faults.mjs').Fault[]} */
  let bag = [];
  for (let atMs = 0; atMs < untilMs;) {
    if (bag.length === 0) bag = random.shuffled(gatewaysAway);
    const fault = bag.pop();
    if (!fault) break;
    const [least, most] = fault.seconds;
    const ms = random.between(least * 1_000, most * 1_000);
    planned.push({ atMs, fault, target: 'gateways', ms });
    atMs += 2 * ms;
  }
  return planned;
}

/** @param {import('./system.mjs').System} system @param {number} waiting @returns {Promise<Omit<Stranded, 'reserved'>>} */
async function strandedIn(system, waiting) {
  const [unrouted, journalled, elsewhere] = [
    await unroutedIn(system),
    await journalledIn(system),
    await elsewhereIn(system),
  ];
  return { waiting, unrouted, journalled, elsewhere };
}

/** @param {import('./schedule.mjs').Made} made */
export function lineOf({ kind, target, atMs, plannedMs, endedMs, failure, leftOut }) {
  const end = endedMs === undefined ? '' : `, all well after ${seconds(endedMs - atMs)}`;
  const lasts = plannedMs > 0 ? ` for ${seconds(plannedMs)}` : '';
  return `${seconds(atMs).padStart(8)}  ${kind}: ${target}${lasts}${end}${failure || leftOut ? `: ${failure ?? leftOut}` : ''}`;
}

/**
 * @param {Ledger} ledger
 * @param {import('./system.mjs').System} system
 * @param {(ms: number) => Promise<void>} wait
 * @param {ChangingPortals | undefined} changing
 */
async function drain(ledger, system, wait, changing) {
  const limits = changing ? offlineDrainMs : { timeoutMs: drainTimeoutMs, quietMs };
  const startedAt = performance.now();
  /** @type {import('./bus-view.mjs').DeadLetter[]} */
  const letters = [...system.savedLetters];
  let quietSince = Infinity;
  for (;;) {
    const left = await waitingIn(system);
    if (left === 0) letters.push(...(await deadLettersIn(system)));
    const lost = ledger.missing().filter((thing) => !letters.some((letter) => isAbout(letter, thing)));
    const now = performance.now();
    quietSince = left === 0 ? Math.min(quietSince, now) : Infinity;
    const isDone = left === 0 && lost.length === 0 && ((await changing?.reserved()) ?? 0) === 0;
    if (isDone || now - startedAt > limits.timeoutMs || now - quietSince > limits.quietMs) {
      return {
        lost,
        dead: countBy(letters.map(({ code }) => code)),
        left,
        drainMs: Math.round(now - startedAt),
      };
    }
    await wait(1_000);
  }
}

const event = z.object({
  memberId: z.string(),
  entity: z.string().nullable(),
  data: z.object({ MESSAGE: z.object({ ID: z.string() }).optional() }),
});

/** @param {import('./bus-view.mjs').DeadLetter} letter @param {string} key of a thing */
function isAbout({ content }, key) {
  const { memberId, entity, data } = event.parse(JSON.parse(content));
  return key === `${memberId} ${entity ?? `message ${data.MESSAGE?.ID}`}`;
}

/** @param {number} ms */
function seconds(ms) {
  return `${(ms / 1_000).toFixed(1)} s`;
}

/** @param {readonly string[]} names */
function countBy(names) {
  /** @type {Record<string, number>} */
  const counts = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

/**
 * A killed process loses its counter, so it is read every second.
 * @param {readonly import('./system.mjs').Member[]} members
 * @param {AbortSignal} signal
 */
function countJournalled(members, signal) {
  /** @type {Map<string, number>} by process */
  const counts = new Map();
  const look = async () => {
    for (const { replica } of members) {
      const process = replica.processName;
      try {
        const answer = await fetch(`${replica.options.opsUrl}/metrics`, {
          signal: AbortSignal.timeout(1_000),
        });
        const [, count] =
          /^relay_journal_events_total\{outcome="stored"\} (\d+)/m.exec(await answer.text()) ?? [];
        counts.set(process, Number(count ?? 0));
      } catch {
        // It is down or frozen.
      }
    }
  };
  const timer = setInterval(() => void look(), 1_000).unref();
  signal.addEventListener('abort', () => clearInterval(timer));
  return () => {
    clearInterval(timer);
    return [...counts.values()].reduce((sum, count) => sum + count, 0);
  };
}
