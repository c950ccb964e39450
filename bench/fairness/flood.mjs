import { setTimeout as pause } from 'node:timers/promises';

const tickMs = 10;

/**
 * Many contacts of each portal have wrong names at once, and the portals tell of it, one after the other, at a given rate
 * together: one that does not depend on how fast the gateway is, nor takes this machine's time all at once.
 */
export class Flood {
  /** Contacts that each portal has by now. */
  contacts = 0;
  /** Those of the last flood, whose names were wrong. */
  wrong = 0;
  #portals;
  #poster;
  #ratePerSecond;

  /**
   * @param {import('./fixture.mjs').Installed[]} portals
   * @param {import('../support/event-poster.mjs').EventPoster} poster
   * @param {number} rate events a second
   */
  constructor(portals, poster, rate) {
    this.#portals = portals;
    this.#poster = poster;
    this.#ratePerSecond = rate;
  }

  /** @param {number} count contacts of each portal */
  async prepare(count) {
    for (const { portal } of this.#portals) await portal.seedWrong(count);
    this.contacts += count;
    this.wrong = count;
  }

  /** Resolves when the last event was answered. @param {number} count of `prepare` @param {AbortSignal} signal */
  async run(count, signal) {
    const beganAt = performance.now();
    /** @type {Set<Promise<unknown>>} */
    const inFlight = new Set();
    let posted = 0;
    for (let id = this.contacts - count + 1; id <= this.contacts; id += 1) {
      for (const { sender } of this.#portals) {
        while (posted >= (this.#ratePerSecond * (performance.now() - beganAt)) / 1_000) {
          await pause(tickMs, undefined, { signal });
        }
        posted += 1;
        const post = this.#poster.post(sender, id).finally(() => inFlight.delete(post));
        inFlight.add(post);
      }
    }
    await Promise.all(inFlight);
  }
}
