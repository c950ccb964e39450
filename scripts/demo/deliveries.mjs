import { DemoFailure } from './failure.mjs';
import { untilIdle } from './cost.mjs';
import { MirrorDatabase, psqlLine } from './mirror-database.mjs';
import { poll } from './wait.mjs';

/** @typedef {import('./simulator.mjs').Simulator} Simulator */
/** @typedef {import('./screen.mjs').Screen} Screen */
/** @typedef {import('./mirror-database.mjs').MirrorRow} MirrorRow */

export const deliveriesTypeId = 147;
const titles = ['Desk lamps, 40 pieces', 'Door handles, 300 pieces', 'Office chairs, 12 pieces'];
const changedTitle = 'Desk lamps, 38 pieces, 2 broken';
const timeoutMs = 60_000;

/**
 * @param {Simulator} simulator
 * @param {Screen} screen
 * @param {string} memberId
 * @returns {Promise<import('./cost.mjs').Work>}
 */
export async function mirrorDeliveries(simulator, screen, memberId) {
  screen.heading(
    '2. Smart process items, as SQL',
    'Three deliveries are added; then one is changed and one deleted; the table mirror.items follows.',
  );
  const database = await MirrorDatabase.open();
  try {
    const ids = await addDeliveries(simulator);
    const mirrored = (/** @type {readonly string[]} */ wanted) =>
      waitUntilMirrored(simulator, database, memberId, ids, wanted);
    const added = await mirrored(titles.map((title) => `${title} no`));

    const [changedId = 0, deletedId = 0] = ids;
    await simulator.put(deliveriesTypeId, { id: changedId, fields: { title: changedTitle } });
    await simulator.remove(deliveriesTypeId, deletedId);
    const [, deletedTitle = '', thirdTitle = ''] = titles;
    const changed = await mirrored([`${changedTitle} no`, `${deletedTitle} yes`, `${thirdTitle} no`]);

    showMirror(screen, added, changed);
  } finally {
    await database?.close();
  }
  return { title: 'Deliveries', reads: [titles.length, 2], writes: 0 };
}

/** As a user of the portal does, which is no request. @param {Simulator} simulator @returns {Promise<number[]>} */
async function addDeliveries(simulator) {
  const ids = [];
  for (const title of titles) ids.push((await simulator.put(deliveriesTypeId, { fields: { title } })).id);
  return ids;
}

/**
 * @param {Simulator} simulator
 * @param {MirrorDatabase | undefined} database
 * @param {string} memberId
 * @param {readonly number[]} ids
 * @param {readonly string[]} wanted
 * @returns {Promise<MirrorRow[] | undefined>} undefined where the database is not known: then nothing more can be seen than that all is quiet
 */
async function waitUntilMirrored(simulator, database, memberId, ids, wanted) {
  if (!database) {
    await untilIdle(simulator);
    return undefined;
  }
  /** @type {MirrorRow[] | undefined} */
  let rows;
  const isMirrored = async () => {
    rows = await database.rows(memberId, ids);
    return rows?.map(({ title, deleted }) => `${title} ${deleted}`).join() === wanted.join() || undefined;
  };
  const { signal } = simulator;
  if (await poll(isMirrored, { everyMs: 50, timeoutMs, signal })) return rows;
  throw new DemoFailure(
    rows === undefined
      ? 'There is no mirror in the database of DATABASE_URL: is it the one that the running system uses?'
      : 'The deliveries do not reach mirror.items: is smart-process-sync at work, and on the same database? Its log says.',
  );
}

/** @param {Screen} screen @param {MirrorRow[] | undefined} added @param {MirrorRow[] | undefined} changed */
function showMirror(screen, added, changed) {
  if (!added || !changed) {
    screen.line(
      '  This process does not know the database; with its address in DATABASE_URL the rows are shown here. Or:',
    );
    screen.line();
    screen.line(`  ${psqlLine()}`);
    return;
  }
  screen.table(
    ['item', 'after they were added', 'deleted', 'in the end', 'deleted'],
    added.map((row, i) => [
      row.item,
      row.title,
      row.deleted,
      changed[i]?.title ?? '',
      changed[i]?.deleted ?? '',
    ]),
  );
  screen.line();
  screen.line(`  While the system runs: ${psqlLine()}`);
}
