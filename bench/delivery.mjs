/**
 * What the offline queue costs: requests of mode `both` beside mode `online`, with each kind of plan, until all names are
 * right, all queues are empty and nobody asks for anything. To be reached: at most 1.1 times as many, for a mass update of
 * 10,000 contacts, and for one change every few seconds.
 *
 * All portals are worked on side by side, each with its own limit. `own writes recorded`: the portal records our own
 * changes for handlers without a connector, as the documentation says; without it a change of an application is not
 * recorded for that application, as the published source says. Five minutes of calm changes last as long as that.
 *
 * `npm run bench -- delivery [--contacts 10000] [--every 5] [--for 300] [--rate 2] [--burst 50] [--bus rabbitmq|postgresql]
 * [--ways reserves-own,takes-own] [--changes flood,calm]`; about seven minutes as it stands. `online` is always measured.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { setLimit, setMode } from './support/operator.mjs';
import { busOf, names, number } from './support/options.mjs';
import { Portal } from './support/portal.mjs';
import { Closers, startSystem } from './support/system.mjs';
import { grouped, table } from './support/table.mjs';
import { until } from './support/wait.mjs';

const reach = 1.1;
const { values } = parseArgs({
  options: {
    contacts: { type: 'string', default: '10000' },
    every: { type: 'string', default: '5' },
    for: { type: 'string', default: '300' },
    rate: { type: 'string', default: '2' },
    burst: { type: 'string', default: '50' },
    bus: { type: 'string' },
    ways: { type: 'string' },
    changes: { type: 'string', default: 'flood,calm' },
  },
});
const contacts = number('contacts', values.contacts);
const everySeconds = number('every', values.every);
const forSeconds = number('for', values.for);
const limit = { rate: number('rate', values.rate), burst: number('burst', values.burst) };

const reserves = { rest_offline_extended: 'Y', rest_auth_connector: 'N' };
const skipsOwn = { rest_offline_extended: 'Y', rest_auth_connector: 'Y' };
/** @typedef {{ name: string, title: string, mode: 'online' | 'both', features: Record<string, string>, offlineOwnWrites: boolean }} Way */
/** @type {Way[]} */
const allWays = [
  { name: 'online', title: 'online', mode: 'online', features: {}, offlineOwnWrites: false },
  {
    name: 'connector',
    title: 'both, auth_connector',
    mode: 'both',
    features: skipsOwn,
    offlineOwnWrites: false,
  },
  { name: 'reserves', title: 'both, reserves', mode: 'both', features: reserves, offlineOwnWrites: false },
  {
    name: 'reserves-own',
    title: 'both, reserves, own writes recorded',
    mode: 'both',
    features: reserves,
    offlineOwnWrites: true,
  },
  { name: 'takes', title: 'both, only takes', mode: 'both', features: {}, offlineOwnWrites: false },
  {
    name: 'takes-own',
    title: 'both, only takes, own writes recorded',
    mode: 'both',
    features: {},
    offlineOwnWrites: true,
  },
];
const wayNames = allWays.map(({ name }) => name);
const chosen = names('ways', values.ways ?? wayNames.join(','), wayNames);
const changes = names('changes', values.changes, ['flood', 'calm']);
const ways = allWays.filter(({ name }) => name === 'online' || chosen.includes(name));

const ending = new AbortController();
const { signal } = ending;
const closers = new Closers();
for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => ending.abort(new Error(name)));

try {
  execFileSync(process.execPath, [join(import.meta.dirname, '../scripts/prepare.mjs')], { stdio: 'inherit' });
  const system = await startSystem(['name-formatter', 'offline-puller'], busOf(values.bus), closers, signal);
  console.log(`${limit.rate} requests a second, ${limit.burst} at once; ${system.description}`);
  const flood = of('flood').map((way, at) => measured(system, `flood${at}`, way, contacts, massUpdate));
  const calm = of('calm').map((way, at) => measured(system, `calm${at}`, way, calmContacts(), calmChanges));
  show(`${grouped(contacts)} contacts changed at once`, await Promise.all(flood));
  show(`one contact every ${everySeconds} s for ${forSeconds} s`, await Promise.all(calm));
} finally {
  await closers.close();
}

/** @param {'flood' | 'calm'} kind */
function of(kind) {
  return changes.includes(kind) ? ways : [];
}

function calmContacts() {
  return Math.max(1, Math.floor(forSeconds / everySeconds));
}

/** @param {Portal} portal */
async function massUpdate(portal) {
  await portal.spoilNames(contacts);
}

/** @param {Portal} portal */
async function calmChanges(portal) {
  for (const id of await portal.ids(calmContacts())) {
    await portal.spoil(id);
    await pause(everySeconds * 1_000, undefined, { signal });
  }
}

/**
 * @param {import('./support/system.mjs').System} system
 * @param {string} name
 * @param {Way} way
 * @param {number} count
 * @param {(portal: Portal) => Promise<void>} change
 */
async function measured(system, name, { title, mode, features, offlineOwnWrites }, count, change) {
  const portal = await Portal.create(system.simulatorUrl, name, { ...limit, latencyMs: 0 }, signal);
  await portal.setPlan({ features, offlineOwnWrites });
  await portal.seed(count);
  const { member_id: memberId } = await portal.install(`${system.gatewayUrl}/b24/install`);
  const handler = `${system.gatewayUrl}/b24/events`;
  const isBound = async () => (await portal.isBound('ONCRMCONTACTUPDATE', handler)) || undefined;
  await until('no event is bound', isBound, { timeoutMs: 60_000, signal });
  await setLimit(system.operator, memberId, limit);
  await setMode(system.operator, memberId, mode);
  const bound = mode === 'both' ? 2 : 0;
  const isInMode = async () => (await portal.offlineQueue()).handlers.length === bound || undefined;
  await until(`mode ${mode} is not in force`, isInMode, { timeoutMs: 90_000, signal });
  await portal.beginAnew(limit.rate);
  await change(portal);
  await portal.allRight(count, { timeoutMs: 900_000 });
  const isEmpty = async () => (await portal.offlineQueue()).records.length === 0 || undefined;
  await until(`the queue of ${name} is not empty`, isEmpty, { timeoutMs: 600_000, signal });
  await portal.untilIdle();
  return { title, ...(await portal.stats()) };
}

/** @param {string} head @param {({ title: string } & import('./support/portal.mjs').Stats)[]} results */
function show(head, results) {
  if (results.length === 0) return;
  const online = results[0]?.requests ?? 0;
  const rows = results.map(({ title, requests }) => [
    title,
    grouped(requests),
    (requests / online).toFixed(2),
  ]);
  console.log(`\n${head}\n\n${table(['', 'requests', 'ratio'], rows)}\n`);
  for (const { title, calls } of results) {
    const counts = Object.entries(calls).map(([method, count]) => `${method} ${grouped(count)}`);
    console.log(`${title}: ${counts.join(', ')}`);
  }
  if (results.some(({ requests }) => requests / online > reach)) process.exitCode = 1;
}
