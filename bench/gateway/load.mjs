/**
 * The load, in a process of its own: so many keep-alive connections to this machine, each with one request in flight,
 * until so many requests are answered or the time is over: as fast as they are answered, or at a rate. Ends with the process
 * that started it.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { quantile } from '../support/quantiles.mjs';

/**
 * @typedef {object} Order
 * @property {number} port
 * @property {string[]} bodies sent in turns
 * @property {number} requests
 * @property {number} connections
 * @property {number} timeoutMs
 * @property {number} [perSecond] a request is due every so often, whether or not those before it are answered
 */
/**
 * @typedef {object} Result
 * @property {number} accepted answers 200
 * @property {number} others
 * @property {number} seconds
 * @property {number} p50Ms
 * @property {number} p99Ms
 */

const HEAD = /^HTTP\/1\.1 (\d{3}) [\s\S]*?\r\n\r\n/;
const LENGTH = /\r\ncontent-length: (\d+)\r\n/i;

process.on('message', (/** @type {Order} */ order) => {
  void run(order).then(
    (result) => process.send?.({ result }),
    (/** @type {unknown} */ error) => process.send?.({ error: String(error) }),
  );
});
process.once('disconnect', () => process.exit());

/** @param {Order} order @returns {Promise<Result>} */
async function run({ port, bodies, requests, connections, timeoutMs, perSecond = Infinity }) {
  const messages = bodies.map((body) => messageOf(body, port));
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)));
  /** @type {number[]} */
  const waitsMs = [];
  let [sent, accepted] = [0, 0];
  const begin = performance.now();
  const late = setTimeout(() => sockets.forEach((socket) => socket.destroy(new Error('timeout'))), timeoutMs);
  const answered = (/** @type {number} */ status, /** @type {number} */ sentAt) => {
    if (status === 200) accepted += 1;
    waitsMs.push(performance.now() - sentAt);
  };
  const next = () => {
    if (sent >= requests) return undefined;
    const dueAt = begin + (sent * 1_000) / perSecond;
    return { message: messages[sent++ % messages.length] ?? '', dueAt };
  };
  try {
    await Promise.all(sockets.map((socket) => talk(socket, next, answered, perSecond < Infinity)));
  } finally {
    clearTimeout(late);
    for (const socket of sockets) socket.destroy();
  }
  const seconds = (performance.now() - begin) / 1_000;
  const [p50Ms, p99Ms] = [quantile(waitsMs, 0.5), quantile(waitsMs, 0.99)];
  return { accepted, others: waitsMs.length - accepted, seconds, p50Ms, p99Ms };
}

/** @param {number} port */
async function open(port) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  return socket;
}

/**
 * One request after the other, until there is none. One that was due before this connection was free has waited since then.
 * @param {import('node:net').Socket} socket
 * @param {() => { message: string, dueAt: number } | undefined} next
 * @param {(status: number, sentAt: number) => void} answered
 * @param {boolean} isPaced
 * @returns {Promise<void>}
 */
function talk(socket, next, answered, isPaced) {
  return new Promise((resolve, reject) => {
    let [sentAt, received] = [0, ''];
    const send = () => {
      const one = next();
      if (one === undefined) return resolve();
      const now = performance.now();
      const write = (/** @type {number} */ since) => {
        sentAt = since;
        socket.write(one.message);
      };
      if (one.dueAt > now) setTimeout(() => write(performance.now()), one.dueAt - now);
      // At the highest speed, dueAt is when all began.
      else write(isPaced ? one.dueAt : now);
    };
    socket.setEncoding('latin1');
    socket.on('data', (/** @type {string} */ text) => {
      received += text;
      const head = HEAD.exec(received);
      if (head === null) return;
      const length = Number(LENGTH.exec(head[0])?.[1]);
      if (Number.isNaN(length)) return reject(new Error(`an answer without a length: ${received}`));
      if (received.length < head[0].length + length) return;
      received = '';
      answered(Number(head[1]), sentAt);
      send();
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the server closed a connection')));
    send();
  });
}

/** @param {string} body @param {number} port */
function messageOf(body, port) {
  return [
    'POST /b24/events HTTP/1.1',
    `Host: 127.0.0.1:${port}`,
    'User-Agent: Bitrix24 Webhook Engine',
    'Content-Type: application/x-www-form-urlencoded',
    `Content-Length: ${Buffer.byteLength(body)}`,
    '',
    body,
  ].join('\r\n');
}
