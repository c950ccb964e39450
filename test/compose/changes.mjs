import { setTimeout as pause } from 'node:timers/promises';
import { json, simulatorUrl, until } from './stack.mjs';

const contactTypeId = 3;
const everyMs = 50;
/** A take-over is a matter of seconds, and so is a first retry; a machine that is busy takes its time. */
const handledTimeoutMs = 60_000;

/** Contacts with badly written names, one after the other at some portals, on and on. */
export class Changes {
  #portals;
  #stop = new AbortController();
  #made = 0;
  /** @type {Promise<void> | undefined} */
  #making;
  /** @type {unknown} */
  #failure;

  /** @param {string[]} portals their names */
  constructor(portals) {
    this.#portals = portals;
  }

  /** Portals of the simulator with the application installed; by their number some of each shard. @param {number} count */
  static async atPortals(count) {
    const names = Array.from({ length: count }, (_, index) => `take-over-${index + 1}`);
    for (const name of names) {
      await json(`${simulatorUrl}/_sim/portals`, { name });
      const at = `${simulatorUrl}/_sim/portals/${name}`;
      const { status } = await json(`${at}/install`, {
        url: 'http://gateway.relay.internal:3000/b24/install',
      });
      if (status !== 200) throw new Error(`${name} could not be installed: ${status}`);
      await until(60_000, async () => {
        /** @type {{ handlers: { event: string }[] }} */
        const { handlers } = await json(at);
        return handlers.some(({ event }) => event === 'ONCRMCONTACTADD') ? undefined : `${name} is not bound`;
      });
    }
    return new Changes(names);
  }

  start() {
    this.#making = this.#make().catch((/** @type {unknown} */ error) => {
      this.#failure = error;
    });
  }

  /** Some more are changed, and all until then put right. @param {string} when */
  async areHandled(when) {
    const beganAt = Date.now();
    const made = this.#made + this.#portals.length;
    await until(handledTimeoutMs, async () => {
      if (this.#failure) throw this.#failure;
      if (this.#made < made) return `only ${this.#made} of ${made} contacts were changed ${when}`;
      const wrong = await this.#wrong(made);
      return wrong === 0 ? undefined : `${wrong} contacts are still badly written ${when}`;
    });
    const seconds = ((Date.now() - beganAt) / 1_000).toFixed(1);
    console.log(`compose: ${made} contacts are well written ${when}, ${seconds} s later`);
  }

  /** No more from now on. @returns {Promise<number>} how many contacts there are */
  async stop() {
    this.#stop.abort();
    await this.#making;
    return this.#made;
  }

  /** Resolves when the name of every contact is right. */
  async areAllRight() {
    await until(handledTimeoutMs, async () => {
      const wrong = await this.#wrong(this.#made);
      return wrong === 0 ? undefined : `${wrong} contacts are still badly written at the end`;
    });
  }

  async #make() {
    const fields = { name: 'jOHN', lastName: 'sMITH' };
    while (!this.#stop.signal.aborted) {
      const portal = this.#portals[this.#made % this.#portals.length];
      await json(`${simulatorUrl}/_sim/portals/${portal}/items/${contactTypeId}`, { fields });
      this.#made += 1;
      await pause(everyMs);
    }
  }

  /** @param {number} made of the contacts that were made first, how many are badly written */
  async #wrong(made) {
    let wrong = 0;
    for (const [index, portal] of this.#portals.entries()) {
      const count = Math.ceil((made - index) / this.#portals.length);
      if (count <= 0) continue;
      const url = `${simulatorUrl}/_sim/portals/${portal}/items/${contactTypeId}?limit=${count}`;
      /** @type {{ items: { name: string, lastName: string }[] }} */
      const { items } = await json(url);
      if (items.length < count) throw new Error(`${portal} has lost contacts`);
      wrong += items.filter(({ name, lastName }) => name !== 'John' || lastName !== 'Smith').length;
    }
    return wrong;
  }
}
