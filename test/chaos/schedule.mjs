/** Decides before the run which fault hits what and when, from the seed alone. */

/** @typedef {import('./faults.mjs').Fault} Fault */
/** @typedef {{ atMs: number, fault: Fault, target: string, ms: number }} Planned */
/** @typedef {{ kind: string, target: string, atMs: number, plannedMs: number, endedMs: number | undefined, failure?: string, leftOut?: string }} Made */

/** Between two faults: some overlap. */
const gapMs = { least: 500, most: 6_000 };
/** Recovery time of a target. */
const recoveryMs = 5_000;

/**
 * Every kind comes once before one comes again, and once in any case.
 * @template S
 * @template {{ targets: (system: S) => string[], seconds: [least: number, most: number] }} F
 * @param {readonly F[]} faults
 * @param {S} system
 * @param {number} seconds
 * @param {import('./random.mjs').Random} random
 * @returns {{ atMs: number, fault: F, target: string, ms: number }[]}
 */
export function plan(faults, system, seconds, random) {
  const possible = faults.filter((fault) => fault.targets(system).length > 0);
  /** @type {ReturnType<typeof plan<S, F>>} */
  const planned = [];
  /** @type {F[]} */
  let bag = [];
  /** @type {Map<string, number>} by target: when it is probably as it was */
  const busyUntil = new Map();
  const maxMs = Math.min(gapMs.most, Math.max(gapMs.least, (2_000 * seconds) / possible.length));
  for (let atMs = 0; ; atMs += random.between(gapMs.least, maxMs)) {
    const isOver = atMs >= seconds * 1_000 && planned.length >= possible.length;
    if (isOver) return planned;
    if (bag.length === 0) bag = random.shuffled(possible);
    const fault = bag.pop();
    if (!fault) return planned;
    const [least, most] = fault.seconds;
    const ms = random.between(least * 1_000, most * 1_000);
    const targets = fault.targets(system);
    const free = targets.filter((name) => (busyUntil.get(name) ?? 0) <= atMs);
    const target = random.pick(free.length > 0 ? free : targets);
    busyUntil.set(target, atMs + ms + recoveryMs);
    planned.push({ atMs, fault, target, ms });
  }
}

/**
 * Runs the planned faults. One target has one fault at a time: the next waits for its end and for the recovery.
 * @param {readonly Planned[]} planned
 * @param {import('./system.mjs').System} system
 * @param {{ wait: (ms: number) => Promise<void>, tell: (made: Made) => void }} hooks `tell`: at the beginning and at
 * the end of each
 * @returns {Promise<Made[]>} when the last has ended
 */
export async function make(planned, system, { wait, tell }) {
  const startedAt = performance.now();
  const sinceStart = () => Math.round(performance.now() - startedAt);
  /** @type {Made[]} */
  const all = [];
  /** @type {Map<string, Promise<void>>} */
  const lastOf = new Map();

  /** @param {Planned} one @param {Promise<void> | undefined} before */
  const makeOne = async ({ fault, target, ms }, before) => {
    await before;
    /** @type {Made} */
    const made = { kind: fault.kind, target, atMs: sinceStart(), plannedMs: ms, endedMs: undefined };
    all.push(made);
    tell(made);
    try {
      const leftOut = await fault.make(system, target, ms);
      if (leftOut) made.leftOut = leftOut;
    } catch (error) {
      made.failure = String(error);
    }
    made.endedMs = sinceStart();
    tell(made);
  };
  for (const one of planned) {
    await wait(Math.max(0, one.atMs - sinceStart()));
    lastOf.set(one.target, makeOne(one, lastOf.get(one.target)));
  }
  await Promise.all(lastOf.values());
  return all;
}
