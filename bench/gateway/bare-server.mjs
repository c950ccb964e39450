import { createServer } from 'node:http';
import { messageOf, treeOfBody, UnauthorizedError } from './event-check.mjs';

/**
 * `node:http` and nothing else.
 * @param {ReadonlyMap<string, Buffer>} tokenHashes
 * @param {import('./publishers.mjs').Publisher} publisher
 * @param {number} port
 */
export async function startBareServer(tokenHashes, publisher, port) {
  const server = createServer((request, response) => {
    /** @type {Buffer[]} */
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      try {
        const message = messageOf(tokenHashes, treeOfBody(Buffer.concat(chunks)));
        publisher.publish(message).then(
          () => answer(response, 200),
          () => answer(response, 503),
        );
      } catch (error) {
        answer(response, error instanceof UnauthorizedError ? 401 : 400);
      }
    });
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)));
}

/** @param {import('node:http').ServerResponse} response @param {number} status */
function answer(response, status) {
  response.statusCode = status;
  response.end();
}
