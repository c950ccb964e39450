/** Portals with harmful responses, a different one for each request: they must not affect other portals. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { gzipSync } from 'node:zlib';
import { z } from 'zod';

/** @typedef {(response: import('node:http').ServerResponse) => void} Answer */

const html = '<html><body>Access denied</body></html>';
const dripEveryMs = 1_000;

/** @param {number} status @param {string} body @param {string} type @returns {Answer} */
const with_ = (status, body, type) => (response) => {
  response.writeHead(status, { 'content-type': type }).end(body);
};
const json = 'application/json';

/** 60 KB that decompress to 60 MB of values. @type {() => Answer} */
const bomb = () => {
  const body = gzipSync(`{"result":[${'[],'.repeat(20_000_000)}[]]}`);
  return (response) => {
    response.writeHead(200, { 'content-type': json, 'content-encoding': 'gzip' }).end(body);
  };
};

/** @type {readonly Answer[]} */
const usual = [
  with_(401, '{"error":"authorization_error"}', json),
  with_(401, '{"error":"ERROR_OAUTH"}', json),
  with_(401, html, 'text/html'),
  with_(403, html, 'text/html'),
  with_(404, html, 'text/html'),
  with_(200, html, 'text/html'),
  with_(200, `{"result":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, json),
  (response) => {
    response.writeHead(302, { location: '/rest/again' }).end();
  },
  // Never answers.
  () => undefined,
  (response) => {
    response.writeHead(200, { 'content-type': json });
    const drip = setInterval(() => response.write(' '), dripEveryMs);
    response.on('close', () => clearInterval(drip));
  },
  (response) => {
    response.writeHead(200, { 'content-type': json, 'content-length': '100' });
    response.write('{"result":');
    setImmediate(() => response.destroy());
  },
];

/**
 * @param {{ withBombs: boolean }} options bombs cost whoever unpacks them seconds, which a short run does not have
 * @returns {Promise<{ port: number, close: () => Promise<void> }>} the port on every address of this machine
 */
export async function hostilePortals({ withBombs }) {
  const kinds = withBombs ? [...usual, bomb()] : usual;
  let asked = 0;
  const server = createServer((request, response) => {
    request.resume();
    response.on('error', () => undefined);
    kinds[asked++ % kinds.length]?.(response);
  });
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  const { port } = z.object({ port: z.int() }).parse(server.address());
  return {
    port,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
