/** Ports for programs that must be told theirs before they listen, such as an app that is started. */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

/** Enough for every claim of a run to find its own; `npm start` takes its PostgreSQL's port from below. */
const count = 10_000;
const defaultHighest = 29_999;
const maxTries = 1_000;

/**
 * Below the ports that the system assigns to connections and to listeners on 0: one of those can be taken in
 * the moment between the choice and the use. No two calls get the same port, in this process or in another one.
 * @returns {Promise<number>} a port on which nothing listens, kept for the caller as long as this process lives
 */
export async function freePort() {
  const highest = highestPort();
  for (let tries = 0; tries < maxTries; tries += 1) {
    const port = randomInt(highest - count + 1, highest + 1);
    const claim = await claimed(port);
    if (!claim) continue;
    if (await isFree(port)) return port;
    claim.close();
  }
  throw new Error(`no port up to ${highest} is free`);
}

/**
 * The UDP port of the same number stands for the claim: one process in all has it, and the system gives it back when
 * that one ends, in whatever way. Nobody sends anything there.
 * @param {number} port
 */
async function claimed(port) {
  const claim = createSocket('udp4');
  claim.bind({ port, address: '127.0.0.1', exclusive: true });
  try {
    await once(claim, 'listening');
  } catch {
    return undefined;
  }
  return claim.unref();
}

/**
 * On every address that a program may listen on: one that has it on a single address does not stop the others. @param
 * {number} port
 */
async function isFree(port) {
  for (const host of ['127.0.0.1', '0.0.0.0', '::1', '::']) {
    const server = createServer().listen({ port, host, exclusive: true });
    try {
      await once(server, 'listening');
    } catch (error) {
      const isWithoutIpv6 = host.includes(':') && codeOf(error) !== 'EADDRINUSE';
      if (isWithoutIpv6) continue;
      return false;
    }
    server.close();
    await once(server, 'close');
  }
  return true;
}

/** Other systems hand out ports from 49152. */
function highestPort() {
  try {
    const lowestHandedOut = Number.parseInt(
      readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'),
      10,
    );
    // Where nearly all are handed out there is nothing below; the claims hold among ourselves even so.
    return lowestHandedOut > count + 1_024 ? Math.min(defaultHighest, lowestHandedOut - 1) : defaultHighest;
  } catch {
    return defaultHighest;
  }
}

/** @param {unknown} error */
function codeOf(error) {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
