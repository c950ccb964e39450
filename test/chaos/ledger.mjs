/**
 * Records what was sent, answered and handled, in one total order: the harness both sends the events and serves the
 * reads, so no clocks are compared.
 */

/**
 * @typedef {object} Sending
 * @property {string} portal
 * @property {string} thing an entity whose events merge, or one event that does not; unique within its portal
 * @property {boolean} gatewayUp whether some gateway was up when it was sent
 */
/** @typedef {string} Answer the status, or what came instead: refused (nobody listened), broken, timeout */

/**
 * @typedef {object} Beginning
 * @property {string} process
 * @property {string} portal
 * @property {readonly string[]} things
 * @property {number} inFlight batches of this portal that the same process has in flight besides
 */
/**
 * @typedef {object} Run
 * @property {string} process
 * @property {string} portal
 * @property {readonly string[]} things
 * @property {number} place
 * @property {number} atMs
 * @property {string} [after] the process that began the portal's batch before it
 * @property {boolean} isOver
 */

/**
 * @typedef {object} Thing
 * @property {number} sent events
 * @property {number} unreached of them: nobody can have stored these
 * @property {number} begun runs
 * @property {number} sentAt place of its last event
 * @property {number} acceptedAt place at which the last of its accepted events was sent; 0 when none was accepted
 * @property {number} answeredAt place of the last 200
 * @property {string[]} history for a person who looks for the reason of a loss
 * @property {number} readAt place at which the last run began that ended well; 0 when there was none
 */

/** @typedef {{ process: string, run: number, atMs: number }} ProcessRun */
/**
 * @typedef {object} Overlap a run that was not over when another process began one of its portal
 * @property {string} portal
 * @property {ProcessRun} earlier
 * @property {ProcessRun} later
 * @property {boolean} goesOn the later one is of the process that the earlier one's had followed
 */
/** @typedef {ReturnType<Ledger['summary']>} Summary */

/** No listener, or rejected by the gateway: an event with one of these answers must not be handled. */
const cannotBeStored = /^(?:refused|4\d\d)$/;

export class Ledger {
  #place = 0;
  /** @type {Map<string, Thing>} */
  #things = new Map();
  /** @type {Map<number, Run>} those that have begun and not ended */
  #runs = new Map();
  /** @type {Set<string>} processes that have died */
  #dead = new Set();
  /** The process of the last run that began, by portal. @type {Map<string, string>} */
  #lastOf = new Map();
  #counts = { sent: 0, sentWhileUp: 0, acceptedWhileUp: 0, begun: 0, ended: 0, handled: 0, repeats: 0 };
  /** @type {Record<string, number>} */
  #answers = {};
  #overlapsWithin = 0;
  /** @type {Overlap[]} */
  #overlapsBetween = [];

  /** @param {() => number} now milliseconds, for what is to be compared with the faults */
  constructor(now) {
    this.now = now;
  }

  /** @param {Sending} sending @returns {(answer: Answer) => void} to be called with what came of it */
  sent({ portal, thing, gatewayUp }) {
    const place = ++this.#place;
    const record = this.#thingOf(portal, thing);
    record.sent += 1;
    record.sentAt = place;
    this.#note(record, 'sent');
    this.#counts.sent += 1;
    if (gatewayUp) this.#counts.sentWhileUp += 1;
    return (answer) => {
      this.#answers[answer] = (this.#answers[answer] ?? 0) + 1;
      this.#note(record, `answered ${answer} what was sent at ${place}`);
      if (cannotBeStored.test(answer)) record.unreached += 1;
      if (answer !== '200') return;
      if (gatewayUp) this.#counts.acceptedWhileUp += 1;
      record.acceptedAt = Math.max(record.acceptedAt, place);
      record.answeredAt = ++this.#place;
    };
  }

  /** A portal's thing has changed, and must be read once more, whoever is told of it. @param {{ portal: string, thing: string }} change */
  changed({ portal, thing }) {
    const place = ++this.#place;
    const record = this.#thingOf(portal, thing);
    record.sent += 1;
    record.sentAt = place;
    record.acceptedAt = place;
    this.#note(record, 'changed');
    this.#counts.sent += 1;
  }

  /**
   * A handler reads: it sees everything that was sent before.
   * @param {Beginning} beginning
   * @returns {number} the run
   */
  began({ process, portal, things, inFlight }) {
    const place = ++this.#place;
    const atMs = this.now();
    this.#counts.begun += 1;
    // What it sent before its death may arrive after it: nothing will be told of the end of this run.
    if (this.#dead.has(process)) return place;
    if (inFlight > 0) this.#overlapsWithin += 1;
    for (const run of this.#runs.values()) {
      if (run.portal !== portal || run.isOver) continue;
      if (run.process !== process) this.#noteOverlap(run, { process, run: place, atMs });
      // The process reports no other run in flight. The end of the earlier one may still arrive: a request that the
      // process has given up can get here after its next one.
      else if (inFlight === 0) run.isOver = true;
    }
    for (const thing of things) {
      const record = this.#thingOf(portal, thing);
      record.begun += 1;
      this.#note(record, `${process} reads`);
    }
    this.#runs.set(place, {
      process,
      portal,
      things,
      place,
      atMs,
      after: this.#lastOf.get(portal),
      isOver: false,
    });
    this.#lastOf.set(portal, process);
    return place;
  }

  /** @param {number} number the run @param {readonly string[]} failed things of it that were not handled */
  ended(number, failed) {
    const run = this.#runs.get(number);
    // The process has died: it never received the answer, so it has settled nothing.
    if (!run) return;
    this.#runs.delete(number);
    this.#counts.ended += 1;
    for (const thing of run.things) {
      if (failed.includes(thing)) {
        this.#note(this.#thingOf(run.portal, thing), `${run.process} has failed at it`);
        continue;
      }
      const record = this.#thingOf(run.portal, thing);
      this.#note(record, `${run.process} has handled what it read at ${number}`);
      this.#counts.handled += 1;
      if (record.readAt > record.sentAt) this.#counts.repeats += 1;
      record.readAt = Math.max(record.readAt, run.place);
    }
  }

  /** Its runs will never end. @param {string} process */
  died(process) {
    this.#dead.add(process);
    for (const [number, run] of this.#runs) if (run.process === process) this.#runs.delete(number);
  }

  /** Things with an accepted event and without a later run that succeeded. */
  missing() {
    return [...this.#things].flatMap(([key, { acceptedAt, readAt }]) => (acceptedAt > readAt ? [key] : []));
  }

  /** The history of a thing, with places and times. @param {string} key */
  historyOf(key) {
    return this.#things.get(key)?.history ?? [];
  }

  summary() {
    const things = [...this.#things.values()];
    const strangers = [...this.#things].filter(
      ([, { sent, unreached, begun }]) => begun > 0 && sent === unreached,
    );
    return {
      ...this.#counts,
      answers: { ...this.#answers },
      things: things.filter(({ sent }) => sent > 0).length,
      /** Their last run began while the 200 was on its way: correct, since the change came before the event. */
      readBeforeAnswer: things.filter(
        ({ readAt, acceptedAt, answeredAt }) => readAt > acceptedAt && readAt < answeredAt,
      ).length,
      /** Handled although none of their events can have been stored. */
      strangers: strangers.map(([key]) => key),
      overlapsWithin: this.#overlapsWithin,
      overlapsBetween: [...this.#overlapsBetween],
    };
  }

  /** @param {Thing} record @param {string} what */
  #note({ history }, what) {
    history.push(`${String(this.#place).padStart(7)} at ${(this.now() / 1_000).toFixed(2)} s: ${what}`);
  }

  /** @param {Run} run @param {ProcessRun} later */
  #noteOverlap({ portal, process, place, atMs, after }, later) {
    const earlier = { process, run: place, atMs };
    this.#overlapsBetween.push({ portal, earlier, later, goesOn: after === later.process });
  }

  /** @param {string} portal @param {string} thing @returns {Thing} */
  #thingOf(portal, thing) {
    const key = keyOf(portal, thing);
    let record = this.#things.get(key);
    if (!record) {
      record = {
        sent: 0,
        unreached: 0,
        begun: 0,
        sentAt: 0,
        acceptedAt: 0,
        answeredAt: 0,
        readAt: 0,
        history: [],
      };
      this.#things.set(key, record);
    }
    return record;
  }
}

/** @param {string} portal @param {string} thing */
export function keyOf(portal, thing) {
  return `${portal} ${thing}`;
}
