import { once } from 'node:events';
import { createServer } from 'node:http';

/** Receives corrected names as any other program would: by an outgoing webhook of each portal. */
export class Corrections {
  #server;
  /** @type {Map<string, (atMs: number) => void>} */
  #awaited = new Map();

  constructor() {
    this.#server = createServer((request, response) => {
      const atMs = performance.now();
      request.resume();
      response.end();
      const portal = request.url?.slice(1) ?? '';
      this.#awaited.get(portal)?.(atMs);
      this.#awaited.delete(portal);
    });
  }

  async listen() {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  /** Where the portal tells of them. @param {string} portal */
  urlFor(portal) {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
    return `http://127.0.0.1:${address.port}/${portal}`;
  }

  /** @param {string} portal @returns {Promise<number>} milliseconds of `performance.now()` when the next one arrived */
  next(portal) {
    return new Promise((resolve) => this.#awaited.set(portal, resolve));
  }

  close() {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
