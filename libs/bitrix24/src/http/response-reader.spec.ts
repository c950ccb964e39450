import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { post } from './http-request.js';

/** A portal with its own event loop, which answers while ours is blocked. */
const PORTAL = `
  const { createServer } = require('node:http');
  const { parentPort, workerData } = require('node:worker_threads');
  const flags = new Int32Array(workerData);
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      parentPort.postMessage('received');
      const waiting = setInterval(() => {
        if (Atomics.load(flags, 0) === 0) return;
        clearInterval(waiting);
        response.end('{"result":"in time"}', () => {
          Atomics.store(flags, 1, 1);
          Atomics.notify(flags, 1);
        });
      }, 1);
    });
  });
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
`;
const [MAY_ANSWER, HAS_ANSWERED, NEVER] = [0, 1, 2];

describe('a process that is blocked beyond the deadline of a request', () => {
  let flags: Int32Array;
  let portal: Worker;
  let host: string;

  beforeEach(async () => {
    flags = new Int32Array(new SharedArrayBuffer(12));
    portal = new Worker(PORTAL, { eval: true, workerData: flags.buffer });
    const [port] = z.tuple([z.number()]).parse(await once(portal, 'message'));
    host = `127.0.0.1:${port}`;
  });
  afterEach(() => portal.terminate());

  function ask(timeoutMs: number): ReturnType<typeof post> {
    return post({
      url: new URL(`http://${host}/`),
      contentType: 'application/json',
      body: '{}',
      timeoutMs,
      maxResponseBytes: 1_000,
      allowHosts: [host],
    });
  }

  function standStill(ms: number): void {
    Atomics.wait(flags, NEVER, 0, ms);
  }

  it('still reads a response that arrived meanwhile', async () => {
    const timeoutMs = 2_000;
    const asked = ask(timeoutMs);
    await once(portal, 'message');
    Atomics.store(flags, MAY_ANSWER, 1);
    Atomics.wait(flags, HAS_ANSWERED, 0);
    standStill(timeoutMs + 500);
    expect(await asked).toEqual({ ok: true, httpStatus: 200, text: '{"result":"in time"}' });
  });

  it('times out without a response', async () => {
    const asked = ask(300);
    await once(portal, 'message');
    standStill(1_000);
    expect(await asked).toEqual({ ok: false, code: 'TIMEOUT', delivered: 'unknown' });
  });
});
