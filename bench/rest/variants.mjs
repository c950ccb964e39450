/** The ways to put right the names of contacts that somebody spoilt all at once, each on a portal of its own. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { leastRequests, leastSeconds } from './lower-bound.mjs';
import { Portal } from '../support/portal.mjs';
import { correctByBatches, correctOne, openSdk } from './sdk.mjs';
import { setLimit } from '../support/operator.mjs';
import { until } from '../support/wait.mjs';

/** @typedef {import('../support/portal.mjs').Stats} Stats */
/**
 * @typedef {object} Measured
 * @property {number} contacts
 * @property {number} seconds until all names were right
 * @property {number} requests until then
 * @property {number} rejected of them
 * @property {Record<string, number>} calls until then, by method
 * @property {number} echo requests after that, for what the own updates told of themselves
 */
/**
 * @typedef {object} Dependencies
 * @property {import('../support/system.mjs').System} system
 * @property {import('./options.mjs').Options} options
 * @property {AbortSignal} signal
 * @property {(done: number, of: number) => void} progress
 */
/**
 * @typedef {object} Prepared
 * @property {() => Promise<unknown>} [begin] what is to be done once the names are spoilt; only its failure ends the wait for right names
 * @property {() => void} [end]
 */
/** @typedef {(portal: Portal) => Promise<Prepared>} Way */

/** No way is waited for longer than this many times the least time, and a while. */
const maxTimes = 10;
const whileMs = 120_000;

/** Events in, consumer, database, broker: the whole system. @type {(around: Dependencies) => Way} */
export const relay =
  ({ system, options, signal }) =>
  async (portal) => {
    const { member_id: memberId } = await portal.install(`${system.gatewayUrl}/b24/install`);
    await setLimit(system.operator, memberId, options.limit);
    const handler = `${system.gatewayUrl}/b24/events`;
    const isBound = async () => (await portal.isBound('ONCRMCONTACTUPDATE', handler)) || undefined;
    await until('no event is bound', isBound, { timeoutMs: 60_000, signal });
    return {};
  };

/** A script that is told which contacts to look at. @type {(around: Dependencies, count: number, isPacked: boolean) => Way} */
export const sdkBatches =
  ({ system, options }, count, isPacked) =>
  async (portal) => {
    const sdk = openSdk(await portal.install(), system.application, system.simulatorUrl, options.limit);
    const ids = await portal.ids(count);
    return { begin: () => correctByBatches(sdk, ids, isPacked) };
  };

/** A program that is told of each contact; it answers at once and looks at one after the other. @type {(around: Dependencies) => Way} */
export const oneByOne =
  ({ system, options }) =>
  async (portal) => {
    const sdk = openSdk(await portal.install(), system.application, system.simulatorUrl, options.limit);
    const failure = new AbortController();
    /** @type {Promise<unknown>} */
    let work = Promise.resolve();
    const server = createServer((request, response) => {
      response.end();
      work = Promise.all([text(request), work])
        .then(([body]) => (server.listening ? correctOne(sdk, contactIn(body)) : undefined))
        .catch((/** @type {unknown} */ error) => failure.abort(error));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
    await portal.addOutgoingWebhook('ONCRMCONTACTUPDATE', `http://127.0.0.1:${address.port}/`);
    const begin = async () => {
      await once(failure.signal, 'abort');
      throw failure.signal.reason;
    };
    const end = () => {
      server.close();
      server.closeAllConnections();
    };
    return { begin, end };
  };

/** @param {string} body */
function contactIn(body) {
  return Number(new URLSearchParams(body).get('data[FIELDS][ID]'));
}

/**
 * @param {Way} way
 * @param {string} name of its portal
 * @param {number} contacts
 * @param {Dependencies} around
 * @returns {Promise<Measured>}
 */
export async function measured(way, name, contacts, { system, options, signal, progress }) {
  const settings = { ...options.limit, latencyMs: options.latencyMs };
  const portal = await Portal.create(system.simulatorUrl, name, settings, signal);
  await portal.seed(contacts);
  const { begin, end } = await way(portal);
  await portal.beginAnew(options.limit.rate);

  const beganAt = performance.now();
  await portal.spoilNames(contacts);
  const right = allRight(portal, contacts, options, progress);
  const stats = await Promise.race([right, begin ? begin().then(() => right) : right]);
  const seconds = (stats.at - beganAt) / 1000;
  await portal.untilIdle();
  const after = await portal.stats();
  end?.();
  return {
    contacts,
    seconds,
    requests: stats.requests,
    rejected: stats.refusals,
    calls: stats.calls,
    echo: after.requests - stats.requests,
  };
}

/**
 * @param {Portal} portal
 * @param {number} contacts
 * @param {import('./options.mjs').Options} options
 * @param {(done: number, of: number) => void} progress
 * @returns {Promise<Stats & { at: number }>} the counts at that moment
 */
async function allRight(portal, contacts, { limit }, progress) {
  /** @type {(Stats & { at: number }) | undefined} */
  let last;
  await portal.allRight(contacts, {
    // The worst way asks twice for each contact, and once more for the echo.
    timeoutMs:
      Math.max(
        leastSeconds(leastRequests(contacts), limit) * maxTimes,
        leastSeconds(3 * Math.min(contacts, 1_000), limit),
      ) *
        1_000 +
      whileMs,
    progress: (stats) => {
      last = { ...stats, at: performance.now() };
      progress(stats.calls['crm.item.update'] ?? 0, contacts);
    },
  });
  if (!last) throw new Error('nothing was counted');
  return last;
}
