/** Ways to have 100,000 events waiting, each on a system of its own, and what memory the processes took meanwhile. */
import { setTimeout as pause } from 'node:timers/promises';
import { metric } from '../support/metrics.mjs';
import { until } from '../support/wait.mjs';
import { consumer, postAll } from './fixture.mjs';
import { MemoryWatch } from './memory.mjs';

/** @typedef {import('./fixture.mjs').Fixture} Fixture */
/** @typedef {{ phase: string, seconds: number, processes: Record<string, import('./memory.mjs').Watched> }} Phase */
/** @typedef {(fixture: Fixture, watchMs: number, signal: AbortSignal) => AsyncGenerator<Phase>} Variant */

const journalTimeoutMs = 600_000;
const pollEveryMs = 1_000;

/** The consumer is away while the events come; then it finds all of them. @type {Variant} */
export async function* inQueues(fixture, watchMs, signal) {
  const { apps } = fixture.system;
  await apps[consumer]?.stop();
  yield await watched('events come, consumer away', fixture, ['gateway'], () => postAll(fixture));
  await apps[consumer]?.start();
  yield await watched('consumer works them off', fixture, ['gateway', consumer], () =>
    untilConsumed(fixture, watchMs, signal),
  );
}

/** The broker is away while the events come; then the gateway brings them all onto it. @type {Variant} */
export async function* inJournal(fixture, watchMs, signal) {
  const { link, system } = fixture;
  if (!link) throw new Error('the journal is for when RabbitMQ is away');
  const waiting = () => metric(system.apps['gateway']?.opsUrl ?? '', 'relay_journal_events', signal);
  link.cut();
  yield await watched('events come, broker away', fixture, ['gateway', consumer], () => postAll(fixture));
  console.log(`${await waiting()} events in the journal`);
  yield await watched('they wait', fixture, ['gateway', consumer], () =>
    pause(10_000, undefined, { signal }),
  );
  link.mend();
  const isEmpty = async () => (await waiting()) === 0 || undefined;
  yield await watched('the journal is emptied', fixture, ['gateway', consumer], () =>
    until('the journal is not empty', isEmpty, { everyMs: 500, timeoutMs: journalTimeoutMs, signal }),
  );
  yield await watched('consumer works them off', fixture, ['gateway', consumer], () =>
    untilConsumed(fixture, watchMs, signal),
  );
}

/**
 * @param {string} phase
 * @param {Fixture} fixture
 * @param {string[]} names of the processes
 * @param {() => Promise<unknown>} work
 * @returns {Promise<Phase>}
 */
async function watched(phase, { system }, names, work) {
  const watch = new MemoryWatch(
    Object.fromEntries(names.map((name) => [name, () => system.apps[name]?.pid() ?? 0])),
  );
  const beganAt = performance.now();
  try {
    await work();
  } finally {
    watch.stop();
  }
  return { phase, seconds: (performance.now() - beganAt) / 1_000, processes: watch.results() };
}

/** Until every event and each echo of a corrected name was settled, or for so long. @param {Fixture} fixture @param {number} watchMs @param {AbortSignal} signal */
async function untilConsumed({ system, senders, contacts }, watchMs, signal) {
  const all = 2 * senders.length * contacts;
  for (const endsAt = performance.now() + watchMs; performance.now() < endsAt;) {
    const settled = await metric(system.apps[consumer]?.opsUrl ?? '', 'relay_bus_settled_total', signal);
    if (settled >= all) return;
    await pause(pollEveryMs, undefined, { signal });
  }
}
