import { DemoFailure, TimeIsUp } from './failure.mjs';
import { isNamed, massNames } from './names.mjs';
import { RightNames } from './right-names.mjs';
import { duration, grouped } from './screen.mjs';
import { contactTypeId } from './simulator.mjs';
import { wait } from './wait.mjs';

/** @typedef {import('./simulator.mjs').Simulator} Simulator */
/** @typedef {import('./screen.mjs').Screen} Screen */
/** @typedef {import('./names.mjs').PersonName} PersonName */

/** By this the next demo knows the contacts that it may remove. */
const originatorId = 'npm run demo';
const everything = 1_000_000;
const everyMs = 200;
const colleagueId = 2;

/**
 * @param {Simulator} simulator
 * @param {Screen} screen
 * @param {number} count of contacts to be put right
 * @returns {Promise<import('./cost.mjs').Work>}
 */
export async function updateMany(simulator, screen, count) {
  screen.heading(
    `3. A mass update of ${grouped(count)} contacts`,
    `Somebody assigns all contacts to a colleague; the portal tells of each, and ${grouped(count)} of them have names to be put right.`,
  );
  await removeEarlier(simulator);
  const names = new RightNames(await addInSilence(simulator, count));
  const { total } = await simulator.items(contactTypeId, { limit: 1 });
  const statsBefore = await simulator.stats();
  const startMs = performance.now();
  const { updated } = await simulator.massUpdate({
    entityTypeId: contactTypeId,
    count: total,
    fields: { assignedById: colleagueId },
  });
  await watch(simulator, screen, names, startMs, statsBefore);
  return { title: `Mass update of ${grouped(updated)}`, reads: [updated], writes: count };
}

/** Nobody hears of that: the app asked for no event of a deleted contact. @param {Simulator} simulator */
async function removeEarlier(simulator) {
  const { items } = await simulator.items(contactTypeId, { limit: everything });
  for (const item of items) {
    if (item.originatorId === originatorId) await simulator.remove(contactTypeId, item.id);
  }
}

/** @param {Simulator} simulator @param {number} count @returns {Promise<Map<number, PersonName>>} what they shall be called */
async function addInSilence(simulator, count) {
  for (const [i, { before }] of massNames.entries()) {
    const share = Math.floor((count + i) / massNames.length);
    const fields = { ...before, originatorId };
    if (share > 0) await simulator.put(contactTypeId, { fields, count: share, silent: true });
  }
  const { items } = await simulator.items(contactTypeId, { limit: everything });
  const added = items.filter((item) => item.originatorId === originatorId);
  return new Map(
    added.flatMap((item) => {
      const odd = massNames.find(({ before }) => isNamed(item, before));
      return odd ? [[item.id, odd.after]] : [];
    }),
  );
}

/**
 * @param {Simulator} simulator
 * @param {Screen} screen
 * @param {RightNames} names
 * @param {number} startMs
 * @param {import('./simulator.mjs').Stats} statsBefore
 */
async function watch(simulator, screen, names, startMs, statsBefore) {
  const progress = { right: 0, rejected: 0, requests: 0 };
  try {
    for (;;) {
      await names.look(simulator);
      const stats = await simulator.stats();
      progress.right = names.right;
      progress.rejected = stats.refusals - statsBefore.refusals;
      progress.requests = stats.requests - statsBefore.requests;
      const counts = `${grouped(names.right)} of ${grouped(names.all)} names are right`;
      const refusals = progress.rejected > 0 ? `, ${grouped(progress.rejected)} rejected` : '';
      screen.bar(names.right, names.all, `${counts}${refusals} (${duration(performance.now() - startMs)})`);
      if (names.right === names.all) break;
      await wait(everyMs, simulator.signal);
    }
  } catch (error) {
    if (!(error instanceof TimeIsUp)) throw error;
    const { right, rejected, requests } = progress;
    throw new DemoFailure(
      `The demo's time is up with ${grouped(right)} of ${grouped(names.all)} names right: the portal rejected ${grouped(rejected)} of ${grouped(requests)} requests, and what is rejected waits before it is tried again.`,
    );
  } finally {
    screen.closeBar();
  }
}
