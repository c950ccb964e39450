import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** A link to a server that can be cut and restored, to simulate network failures. */
export class Link {
  /** @type {Set<import('node:net').Socket>} */
  #sockets = new Set();
  #isCut = false;
  #server;

  /** @param {{ port: string, hostname: string }} target */
  constructor({ port, hostname }) {
    this.#server = createServer((near) => {
      if (this.#isCut) near.destroy();
      else this.#join(near, connect(Number(port), hostname));
    });
  }

  /** @returns {Promise<number>} the port under which the server is reached */
  async listen() {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
    return address.port;
  }

  /** Ends every connection, and each new one at once. */
  cut() {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend() {
    this.#isCut = false;
  }

  close() {
    this.cut();
    this.#server.close();
  }

  /** @param {import('node:net').Socket} near @param {import('node:net').Socket} far */
  #join(near, far) {
    for (const [one, other] of /** @type {const} */ ([
      [near, far],
      [far, near],
    ])) {
      this.#sockets.add(one);
      one.pipe(other);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
  }
}
