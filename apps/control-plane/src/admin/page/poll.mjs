/** Polls one resource as long as the page is visible. */
import { ApiError, ask } from './api.mjs';

const everyMs = 2_000;
/** A slow resource, such as a list of thousands of portals over a slow line, is polled less often. */
const restPerWork = 5;

export class Poll {
  #path;
  #to;
  /** @type {AbortController | undefined} */
  #running;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {string} path
   * @param {{ answered: (answer: any) => void, failed: (error: unknown) => void }} to
   */
  constructor(path, to) {
    this.#path = path;
    this.#to = to;
  }

  start() {
    if (this.#running) return;
    this.#running = new AbortController();
    void this.#round(this.#running.signal);
  }

  stop() {
    this.#running?.abort();
    this.#running = undefined;
    clearTimeout(this.#timer);
  }

  /** Instead of at the next poll. */
  now() {
    if (!this.#running) return;
    this.stop();
    this.start();
  }

  /** @param {AbortSignal} signal */
  async #round(signal) {
    const startedAt = performance.now();
    try {
      const answer = await ask(this.#path, { signal });
      if (signal.aborted) return;
      this.#to.answered(answer);
    } catch (error) {
      if (signal.aborted) return;
      this.#to.failed(error);
      if (error instanceof ApiError && error.kind === 'refused') return;
    }
    const restMs = Math.max(everyMs, restPerWork * (performance.now() - startedAt));
    this.#timer = setTimeout(() => void this.#round(signal), restMs);
  }
}
