import { execFile } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../support/free-port.mjs';

const [port, opsPort, simulatorPort] = [await freePort(), await freePort(), await freePort()];
const env = {
  ...process.env,
  COMPOSE_PROJECT_NAME: `b24-relay-test-${process.pid}`,
  // What a developer keeps in .env for another system is not for this one.
  COMPOSE_DISABLE_ENV_FILE: 'true',
  PORT: String(port),
  // One port for each of two control planes.
  OPS_PORT: `${opsPort}-${opsPort + 1}`,
  SIMULATOR_PORT: String(simulatorPort),
};

export const gatewayUrl = `http://127.0.0.1:${port}`;
export const opsUrl = `http://127.0.0.1:${opsPort}`;
export const simulatorUrl = `http://127.0.0.1:${simulatorPort}`;

/** @typedef {{ ok: boolean, stdout: string, stderr: string }} Ended */

/** @param {string[]} args */
export function compose(...args) {
  return docker('compose', ...args);
}

/** @param {string[]} args @returns {Promise<Ended>} */
export function docker(...args) {
  const options = { env, maxBuffer: 64 * 1024 * 1024, timeout: 600_000 };
  return new Promise((resolve) => {
    execFile('docker', args, options, (error, stdout, stderr) => {
      resolve({ ok: error === null, stdout, stderr: stderr || (error?.message ?? '') });
    });
  });
}

/** @param {string} what @param {Promise<Ended>} command */
export async function step(what, command) {
  const { ok, stderr } = await command;
  if (!ok) throw new Error(`${what} failed:\n${stderr}`);
  console.log(`compose: ${what} ok`);
}

/** @param {string} what @param {boolean} isTrue */
export function check(what, isTrue) {
  if (!isTrue) throw new Error(`not so: ${what}`);
  console.log(`compose: ${what}`);
}

/** @param {string} url @param {object} [body] @returns {Promise<any>} */
export async function json(url, body) {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(url, body && { method: 'POST', headers, body: JSON.stringify(body) });
  return answer.json();
}

/**
 * Looks until there is nothing to object to.
 * @param {number} timeoutMs
 * @param {() => Promise<string | undefined> | string | undefined} objection
 */
export async function until(timeoutMs, objection) {
  for (const deadline = Date.now() + timeoutMs; ;) {
    const left = await objection();
    if (left === undefined) return;
    if (Date.now() > deadline) throw new Error(`after ${timeoutMs / 1_000} s ${left}`);
    await pause(200);
  }
}
