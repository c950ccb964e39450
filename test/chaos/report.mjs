/** Formats the ledger and lists what is wrong with it. */
import { lineOf } from './chaos.mjs';

const least = 0.8;
/** Of the events that portals post in mode `both`; what is swallowed in front arrives late, and bursts do not fall evenly. */
const most = 0.9;
/** On a machine that is busy with other tests. */
const NOTICES_WITHIN_MS = 2_000;

/** Empty when nothing is wrong. @param {import('./chaos.mjs').Report} report @returns {string[]} */
export function complaintsAbout({ options, ledger, lost, dead, unaskedEnds, stranded, faults, posted }) {
  const isOnline = options.mode === 'online';
  const share = ledger.acceptedWhileUp / ledger.sentWhileUp;
  const oftenOverlapped = maxOverlaps(ledger.overlapsBetween, faults);
  // A process that cannot start logs why, exits and is restarted: that costs time, not events.
  const crashes = unaskedEnds.filter(({ whileStarting }) => !whileStarting);
  /** @type {[isWrong: boolean, complaint: string][]} */
  const all = [
    [lost.length > 0, `${lost.length} lost`],
    [sumOf(stranded) > 0, `${sumOf(stranded)} stranded: ${JSON.stringify(stranded)}`],
    [
      isOnline && !(share >= least),
      `only ${percent(share)} accepted of what was sent while a gateway was up`,
    ],
    [
      !isOnline && !(arrivedShare(posted) <= most),
      `${percent(arrivedShare(posted))} of the events arrived although nobody was there half of the time`,
    ],
    [ledger.strangers.length > 0, `${ledger.strangers.length} handled that nobody can have stored`],
    [ledger.overlapsWithin > 0, `${ledger.overlapsWithin} batches overlapped within a process`],
    [
      oftenOverlapped > 1,
      `${oftenOverlapped} batches of a portal overlapped between processes after one fault`,
    ],
    // Killed by this run during three solo batches in a row.
    [Object.keys(dead).some((code) => code !== 'poison'), `dead letters: ${JSON.stringify(dead)}`],
    [crashes.length > 0, `${crashes.length} processes ended in the middle of their work`],
    [faults.some(({ failure }) => failure), 'not every fault could be made and ended'],
  ];
  return all.flatMap(([isWrong, complaint]) => (isWrong ? complaint : []));
}

/** @param {import('./chaos.mjs').Report} report */
export function textOf({
  options,
  disk,
  ledger,
  journalled,
  faults,
  unaskedEnds,
  lost,
  histories,
  dead,
  stranded,
  drainMs,
  posted,
}) {
  const isOnline = options.mode === 'online';
  const answers = Object.entries(ledger.answers).map(([answer, count]) => `${count} × ${answer}`);
  const share = percent(ledger.acceptedWhileUp / ledger.sentWhileUp);
  const starting = unaskedEnds.filter(({ whileStarting }) => whileStarting);
  /** @type {[string, string][]} */
  const sending = isOnline
    ? [
        ['sent', `${ledger.sent} events of ${ledger.things} things`],
        ['answers', answers.join(', ')],
        ['accepted', `${share} of the ${ledger.sentWhileUp} sent while a gateway was up`],
      ]
    : [
        ['changed', `${ledger.things} things, ${ledger.sent} times`],
        [
          'posted online',
          Object.entries(posted)
            .map(([answer, count]) => `${count} × ${answer}`)
            .join(', '),
        ],
        ['arrived', `${percent(arrivedShare(posted))} of them; the gateways were away half of the time`],
      ];
  /** @type {[string, string | number][]} */
  const lines = [
    [
      'run',
      `${options.bus}, mode ${options.mode}, seed ${options.seed}, ${options.seconds} s of faults, ${options.portals} portals`,
    ],
    ['processes', `${options.gateways} gateways, ${options.consumers} consumers`],
    ['journal', disk],
    ...sending,
    ['journalled', `${journalled} or more`],
    [
      'handled',
      `${ledger.handled} in ${ledger.ended} runs that ended well; ${ledger.begun - ledger.ended} did not`,
    ],
    ['repeats', ledger.repeats],
    ['read before the 200 arrived', ledger.readBeforeAnswer],
    ['overlaps in one process', ledger.overlapsWithin],
    [
      'overlaps around take-overs',
      `${ledger.overlapsBetween.length}, with at most ${maxOverlaps(ledger.overlapsBetween, faults)} batches of a replaced owner of one portal after one fault`,
    ],
    ['dead letters', JSON.stringify(dead)],
    ['ended by themselves', `${unaskedEnds.length}, of them while starting: ${starting.length}`],
    ['drained', `${(drainMs / 1_000).toFixed(1)} s after the last fault`],
    ['STRANDED', sumOf(stranded) === 0 ? '0' : `${sumOf(stranded)}: ${JSON.stringify(stranded)}`],
    ['LOST', lost.length],
  ];
  const width = Math.max(...lines.map(([name]) => name.length));
  return [
    `Faults (${faults.length}):`,
    ...faults.map(lineOf),
    '',
    'Ledger:',
    ...lines.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`),
    ...takeOvers(ledger.overlapsBetween, faults).flatMap(({ count, overlaps }) =>
      count > 1 ? overlaps.map(overlapLine) : [],
    ),
    ...histories.map((history) => `\nlost: ${history}`),
    ...unaskedEnds.map(({ process, lastOutput }) => `\n${process} ended by itself: ${lastOutput}`),
  ].join('\n');
}

/**
 * Around one take-over a frozen owner may have one more batch of a portal in flight, which it finishes or gives up,
 * beside any number of the new owner's. Both must not continue: a violation is more than one batch of a process that
 * another one had replaced, overtaken by the new owner's or begun beside it.
 * @param {readonly import('./ledger.mjs').Overlap[]} overlaps
 * @param {readonly import('./schedule.mjs').Made[]} faults
 */
export function maxOverlaps(overlaps, faults) {
  return Math.max(0, ...takeOvers(overlaps, faults).map(({ count }) => count));
}

/**
 * @param {readonly import('./ledger.mjs').Overlap[]} overlaps
 * @param {readonly import('./schedule.mjs').Made[]} faults
 */
function takeOvers(overlaps, faults) {
  // A portal changes hands when a process is lost, and again when it is back.
  const moments = faults.flatMap(({ atMs, endedMs = Infinity }) => [atMs, endedMs]);
  const momentsBefore = (/** @type {number} */ ms) => moments.filter((moment) => moment <= ms).length;
  /** @type {Map<string, { ofReplaced: Set<number>, overlaps: import('./ledger.mjs').Overlap[] }>} */
  const groups = new Map();
  for (const overlap of overlaps) {
    const { portal, earlier, later, goesOn } = overlap;
    const after = momentsBefore(later.atMs);
    const key = `${portal} ${after}`;
    const group = groups.get(key) ?? { ofReplaced: new Set(), overlaps: [] };
    groups.set(key, group);
    group.overlaps.push(overlap);
    // After one of them between its batches the process may be the owner again.
    const isLaterReplaced = goesOn && momentsBefore(earlier.atMs) === after;
    group.ofReplaced.add((replacedByFault(overlap, faults) ?? (isLaterReplaced ? later : earlier)).run);
  }
  return [...groups.values()].map(({ ofReplaced, overlaps: own }) => ({
    count: ofReplaced.size,
    overlaps: own,
  }));
}

/**
 * The run of the process that another one had replaced, where its fault tells: whose portal it is, the order of the runs
 * alone may not.
 * @param {import('./ledger.mjs').Overlap} overlap
 * @param {readonly import('./schedule.mjs').Made[]} faults
 */
function replacedByFault({ earlier, later }, faults) {
  const isHit = (/** @type {string} */ process, /** @type {number} */ ms, noticesMs = 0) =>
    faults.some(
      ({ kind, target, atMs, endedMs = Infinity }) =>
        target === process.split('#')[0] &&
        // What is started again has nothing of before.
        !/killed|deployed/.test(kind) &&
        atMs <= ms &&
        ms <= endedMs + noticesMs,
    );
  // Also one that was frozen in the middle of the run and goes on with it, whatever has hit its successor since.
  const wasFrozen = faults.some(
    ({ kind, target, atMs }) =>
      target === earlier.process.split('#')[0] &&
      kind.includes('frozen') &&
      earlier.atMs <= atMs &&
      atMs <= later.atMs,
  );
  if (wasFrozen || isHit(earlier.process, later.atMs)) return earlier;
  const [isEarlier, isLater] = [earlier, later].map(({ process, atMs }) =>
    isHit(process, atMs, NOTICES_WITHIN_MS),
  );
  if (isEarlier === isLater) return undefined;
  return isEarlier ? earlier : later;
}

/** @param {import('./ledger.mjs').Overlap} overlap */
function overlapLine({ portal, earlier, later, goesOn }) {
  return `overlap at ${portal}: ${runText(later)} beside ${runText(earlier)}${goesOn ? ', which had followed it' : ''}`;
}

/** @param {import('./ledger.mjs').Overlap['later']} run */
function runText({ process, run, atMs }) {
  return `${process} (run ${run} at ${(atMs / 1_000).toFixed(2)} s)`;
}

/** @param {Record<string, number>} posted events by answer @returns {number} NaN if there were none */
function arrivedShare(posted) {
  return (posted['200'] ?? 0) / sumOf(posted);
}

/** @param {import('./chaos.mjs').Stranded | Record<string, number>} stranded */
function sumOf(stranded) {
  return Object.values(stranded).reduce((sum, count) => sum + count, 0);
}

/** @param {number} share */
function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}
