import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/**
 * Stands between a client and its server and breaks what a network breaks.
 * @typedef {object} TcpProxy
 * @property {string} url the address with the proxy's host and port in it
 * @property {() => void} cut ends every connection as a reset would; new ones are taken
 * @property {() => void} shut like `cut`, and takes no new connections until `open`
 * @property {() => void} open
 * @property {() => void} freeze nothing passes any more, in either direction, and nobody is told
 * @property {() => void} thaw
 * @property {() => Promise<void>} close
 */

/**
 * @param {string} targetUrl
 * @param {readonly string[]} others as good as the target: connections go to all of them in turn, and to the next one where nobody listens
 * @returns {Promise<TcpProxy>}
 */
export async function tcpProxy(targetUrl, others = []) {
  const targets = [targetUrl, ...others].map((url) => new URL(url));
  let turn = 0;
  /** @type {Set<import('node:net').Socket>} */
  const sockets = new Set();
  let isShut = false;
  let isFrozen = false;

  const server = createServer((inner) => {
    if (isShut) {
      inner.destroy();
      return;
    }
    const inTurn = [...targets.slice(turn), ...targets.slice(0, turn)];
    turn = (turn + 1) % targets.length;
    reach(inner, inTurn);
  });
  /** @param {import('node:net').Socket} inner @param {URL[]} inTurn */
  const reach = (inner, [target, ...more]) => {
    if (!target || inner.destroyed) {
      inner.destroy();
      return;
    }
    const outer = connect(Number(target.port), target.hostname);
    if (more.length === 0) {
      join(inner, outer);
      return;
    }
    const next = () => reach(inner, more);
    outer.once('error', next);
    outer.once('connect', () => {
      outer.off('error', next);
      join(inner, outer);
    });
  };
  /** @param {import('node:net').Socket} inner @param {import('node:net').Socket} outer */
  const join = (inner, outer) => {
    for (const [from, to] of /** @type {const} */ ([
      [inner, outer],
      [outer, inner],
    ])) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      if (isFrozen) from.pause();
    }
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The proxy has no port');
  const url = new URL(targetUrl);
  url.hostname = '127.0.0.1';
  url.port = String(address.port);

  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: url.href,
    cut,
    shut: () => {
      isShut = true;
      cut();
    },
    open: () => {
      isShut = false;
    },
    freeze: () => {
      isFrozen = true;
      for (const socket of sockets) socket.pause();
    },
    thaw: () => {
      isFrozen = false;
      for (const socket of sockets) socket.resume();
    },
    close: async () => {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
