/** Whoever opens something puts here how it is closed; the last is closed first, and none keeps the others open. */
export class Closers {
  /** @type {(() => unknown)[]} */
  #closers = [];

  /** @param {() => unknown} close */
  add(close) {
    this.#closers.push(close);
  }

  /** @returns {Promise<unknown[]>} what went wrong */
  async close() {
    /** @type {unknown[]} */
    const failures = [];
    for (let close = this.#closers.pop(); close; close = this.#closers.pop()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    return failures;
  }
}
