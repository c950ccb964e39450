import { setTimeout as pause } from 'node:timers/promises';
import { BusyWatch } from '../support/busy-watch.mjs';
import { inParallel } from '../support/in-parallel.mjs';

/**
 * @typedef {object} Round
 * @property {number[]} waitsMs from each 200 to the corrected name; Infinity where none came in time
 * @property {number} unanswered how many these are
 * @property {number} busy how much of this machine's time was used meanwhile
 */

const spoiledAtOnce = 16;

/**
 * One event of each portal, spread over some seconds; beside it, if asked for, the flood, which
 * begins in the same moment, or has been answered in whole before.
 * @param {import('./fixture.mjs').Fixture} fixture
 * @param {import('../support/event-poster.mjs').EventPoster} poster
 * @param {import('./options.mjs').Options} options
 * @param {AbortSignal} signal
 * @param {number} contact its id at each of the portals, another one in each round
 * @param {import('./flood.mjs').Flood} [flood]
 * @returns {Promise<Round>}
 */
export async function round({ single, corrections }, poster, options, signal, contact, flood) {
  await inParallel(single, spoiledAtOnce, ({ portal }) => portal.spoilInSilence(contact));
  await flood?.prepare(options.flood);
  const flooding = flood?.run(options.flood, signal);
  if (options.isBehind) await flooding;
  const busy = new BusyWatch();
  const beganAt = performance.now();
  const never = pause(options.overMs + options.timeoutMs, Infinity, { signal, ref: false });
  const waits = single.map(async ({ portal, sender }, index) => {
    const dueMs = beganAt + (options.overMs * index) / single.length - performance.now();
    await pause(Math.max(0, dueMs), undefined, { signal });
    const corrected = corrections.next(portal.name);
    const answeredAt = await poster.post(sender, contact);
    return (await Promise.race([corrected, never])) - answeredAt;
  });
  const [waitsMs] = await Promise.all([Promise.all(waits), flooding]);
  return { waitsMs, busy: busy.share(), unanswered: waitsMs.filter((ms) => ms === Infinity).length };
}
