/**
 * `relay` as built, one command after another in one process: a process of its own for each costs half a second of CPU,
 * nearly all of it for loading modules. Its `main.ts` runs anew for each command, and sees the arguments, environment
 * and streams of a process of its own. Started by `runCommand`, which gives orders over IPC.
 */
import { subscribe } from 'node:diagnostics_channel';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

/** @typedef {{ id: string, args: string[], env: Record<string, string>, input: string }} Order */

const main = join(import.meta.dirname, '../../dist/apps/cli/src/main.js');
const endHost = process.exit.bind(process);

/** What the command that runs has written. @type {string[]} */
let screen = [];
process.on('warning', ({ name, message }) => screen.push(`(node:${process.pid}) ${name}: ${message}\n`));

/** What ends with a process: a connection that is kept for a next request. @type {Set<Socket>} */
const sockets = new Set();
subscribe('net.client.socket', (message) => {
  const { socket } = Object(message);
  if (!(socket instanceof Socket)) throw new Error('this Node does not say what it connects');
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
});

function output() {
  return new Writable({
    write: (chunk, _encoding, done) => {
      screen.push(String(chunk));
      done();
    },
  });
}

/** @param {Order} order @returns {Promise<number>} the exit code */
async function run({ id, args, env, input }) {
  screen = [];
  const streams = { stdin: Readable.from(input === '' ? [] : [input]), stdout: output(), stderr: output() };
  for (const [name, value] of Object.entries(streams))
    Object.defineProperty(process, name, { value, configurable: true });
  process.argv = [process.execPath, main, ...args];
  process.env = env;
  process.exitCode = undefined;
  /** @type {Promise<number>} */
  const exited = new Promise((resolve) => {
    const exit = (/** @type {number | undefined} */ code) => resolve(code ?? Number(process.exitCode ?? 0));
    Object.assign(process, { exit });
  });
  // Of the same modules, `main.js` alone is new.
  const ranToItsEnd = import(`${pathToFileURL(main).href}?${id}`).then(() =>
    process.exitCode === undefined ? exited : Number(process.exitCode),
  );
  return Promise.race([exited, ranToItsEnd]);
}

/** What keeps this process alive besides its pipes to the worker process of Jest. */
const heldResources = () => process.getActiveResourcesInfo().filter((name) => name !== 'PipeWrap');

/** @returns {Promise<boolean>} whether the command has left nothing that would go on, as nothing does after a process */
async function clear() {
  for (const socket of sockets) socket.destroy();
  process.removeAllListeners('uncaughtException');
  // Closing a socket takes a round of the event loop or two.
  for (let rounds = 0; rounds < 5 && heldResources().length > 0; rounds += 1) await setImmediate();
  return heldResources().length === 0;
}

/** @param {Order} order */
async function obey(order) {
  const code = await run(order);
  const written = screen.join('');
  const isLast = !(await clear());
  process.send?.({ id: order.id, code, screen: written, isLast }, () => {
    if (isLast) endHost(0);
  });
}

process.on('message', (/** @type {Order} */ order) => void obey(order));
process.on('disconnect', () => endHost(0));
