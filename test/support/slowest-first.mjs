import { statSync } from 'node:fs';

/**
 * Those that start processes and wait for them, the longest first: what Jest orders by, the time of the last run, is not
 * known on a fresh clone. The short ones fill the gaps at the end.
 */
export const SLOWEST = [
  'test/e2e/offline-events',
  'test/e2e/mirror-sync',
  'test/e2e/chaos',
  'test/e2e/silence',
  'test/observability/alerts',
  'test/e2e/crash',
  'test/e2e/poison',
  'test/generator/',
  'test/e2e/bindings',
  'test/e2e/bus-commands',
  'test/e2e/standalone',
  'test/e2e/rabbitmq-errors',
  'test/e2e/shutdown',
  'test/e2e/offline-',
  'test/security/answers-without-bounds',
  'test/e2e/demo',
  'test/browser/operator-',
  'libs/portals/src/reachability/reachability',
  'test/e2e/doctor',
  'test/e2e/refresh-kills',
  'libs/bus/src/postgres/rejected-requests',
  'libs/bitrix24/src/rest/response',
  'test/e2e/',
  'test/security/',
  'test/browser/',
  'libs/bus/',
];

/** @typedef {{ path: string }} Suite */

/** What Jest asks of a `testSequencer`. */
export default class SlowestFirst {
  /** @param {Suite[]} suites */
  sort(suites) {
    const sizes = new Map(suites.map(({ path }) => [path, statSync(path).size]));
    const sizeOf = (/** @type {Suite} */ { path }) => sizes.get(path) ?? 0;
    return suites.toSorted((one, other) => rank(one.path) - rank(other.path) || sizeOf(other) - sizeOf(one));
  }

  /** @param {Suite[]} suites */
  allFailedTests(suites) {
    return suites;
  }

  cacheResults() {}
}

/** @param {string} path */
function rank(path) {
  const found = SLOWEST.findIndex((part) => path.replaceAll('\\', '/').includes(`/${part}`));
  return found < 0 ? SLOWEST.length : found;
}
