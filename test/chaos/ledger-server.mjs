/** The server that the consumers under test read from and report to: their Bitrix24 and the input of the ledger. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';

const beginning = z.object({
  process: z.string(),
  portal: z.string(),
  things: z.array(z.string()),
  inFlight: z.int(),
});
const ending = z.object({ run: z.int(), failed: z.array(z.string()) });

/** Response time of a portal. */
const latencyMs = { least: 20, most: 400 };
/** Share of runs whose handler throws, and of which one entry fails. No thing fails twice on purpose. */
const failing = { all: 0.01, one: 0.02 };

/**
 * @param {import('./ledger.mjs').Ledger} ledger
 * @param {import('./random.mjs').Random} random
 * @returns {Promise<{ url: string, close: () => Promise<void> }>}
 */
export async function ledgerServer(ledger, random) {
  /** @type {Set<string>} */
  const hasFailed = new Set();

  /** @param {string} portal @param {string[]} things @returns {string[]} */
  const toFail = (portal, things) => {
    const fresh = things.filter((thing) => !hasFailed.has(`${portal} ${thing}`));
    const chosen =
      fresh.length === things.length && random.chance(failing.all)
        ? things
        : fresh.slice(0, random.chance(failing.one) ? 1 : 0);
    for (const thing of chosen) hasFailed.add(`${portal} ${thing}`);
    return chosen;
  };
  /** @type {Record<string, (body: unknown) => object | Promise<object>>} */
  const routes = {
    '/began': async (body) => {
      const begun = beginning.parse(body);
      const run = ledger.began(begun);
      const fail = toFail(begun.portal, begun.things);
      await pause(random.between(latencyMs.least, latencyMs.most));
      return { run, fail };
    },
    '/ended': (body) => {
      const { run, failed } = ending.parse(body);
      ledger.ended(run, failed);
      return {};
    },
  };
  const server = createServer((request, response) => {
    void (async () => {
      try {
        const answer = await routes[request.url ?? '']?.(await json(request));
        response.writeHead(answer ? 200 : 404).end(JSON.stringify(answer ?? {}));
      } catch {
        // The client was killed, or froze in the middle of its request.
        response.destroy();
      }
    })();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = z.object({ port: z.int() }).parse(server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
