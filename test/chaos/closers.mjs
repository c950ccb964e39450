/** A resource stack: closes in reverse order of opening, and a failed close does not stop the others. */
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
