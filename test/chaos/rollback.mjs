/**
 * A version that writes messages which the current one cannot read: rolled out, rolled back halfway, and rolled out
 * again.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { join } from 'node:path';

/** @typedef {import('./system.mjs').System} System */
/** @typedef {import('./system.mjs').Member} Member */

/**
 * For one gateway: consumers and a journal of the previous version get the messages that it wrote meanwhile. After it
 * ends, every process starts as the next version.
 * @type {import('./faults.mjs').Fault}
 */
export const rollback = {
  kind: 'rollback',
  targets: ({ gateways }) => gateways.map(({ replica }) => replica.name),
  seconds: [2, 6],
  // It starts a process three times, and has its own spec.
  leastSeconds: 60,
  make: async (system, target, ms) => {
    const member = system.gateways.find(({ replica }) => replica.name === target);
    if (!member) throw new Error(`there is no ${target}`);
    const { replica } = member;
    for (const dist of [system.nextDist, undefined, system.nextDist]) {
      replica.use(versionOf(member, system, dist));
      await replica.end('SIGTERM');
      await replica.start();
      await pause(ms);
    }
    system.isUpgraded = true;
    for (const one of everybody(system)) one.replica.use(versionOf(one, system, system.nextDist));
  },
};

/** Restarts the processes of the previous version one by one. No-op without a rollback. @param {System} system */
export async function finishUpgrade(system) {
  if (!system.isUpgraded) return;
  for (const { replica } of everybody(system)) {
    if (replica.isCurrent) continue;
    await replica.end('SIGTERM');
    await replica.start();
  }
}

/** @param {System} system */
const everybody = ({ gateways, consumers }) => [...gateways, ...consumers];

/** @param {Member} member @param {System} system @param {string | undefined} dist of this version when undefined */
function versionOf(member, system, dist) {
  return system.gateways.includes(member)
    ? { entry: join(dist ?? 'dist', 'apps/gateway/src/main.js') }
    : { env: { CHAOS_DIST: dist } };
}
