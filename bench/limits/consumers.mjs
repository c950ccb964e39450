import { setTimeout as pause } from 'node:timers/promises';
import { startWorker } from '../../test/support/limits/hammer.mjs';
import { Closers, startSystem } from '../support/system.mjs';
import { until } from '../support/wait.mjs';

const readers = 6;
const contactTypeId = 3;
const smartProcessId = 147;
const seconds = 60;

/**
 * @typedef {object} Counted
 * @property {number} allowed the most requests that the bucket takes in this time
 * @property {number} requests that it took
 * @property {number} rejected
 * @property {Record<string, number>} calls by method, those in batches each for itself
 * @property {number} read background requests with a result
 * @property {string[]} lost errors of background requests
 */

/**
 * The two consumers and six readers of background work at one portal, each a process of its own, for a minute: all of its
 * contacts and items change at once.
 * @param {{ rate: number, burst: number }} limit
 * @returns {Promise<Counted>}
 */
export async function consumersAndReaders({ rate, burst }) {
  const ending = new AbortController();
  const closers = new Closers();
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => ending.abort(new Error(signal)));
  try {
    const apps = ['name-formatter', 'smart-process-sync'];
    const system = await startSystem(apps, undefined, closers, ending.signal);
    const { memberId, webhookUrl, control } = await preparePortal(system, { rate, burst }, ending.signal);
    const { databaseUrl } = system;
    const order = JSON.stringify({
      databaseUrl,
      memberId,
      webhookUrl,
      limit: { rate, burst },
      interactive: 0,
      background: 2,
    });
    const workers = Array.from({ length: readers }, () => startWorker(order));
    for (const worker of workers) closers.add(() => worker.kill());
    await Promise.all(workers.map(({ ready }) => ready));
    // What starting cost has leaked out before the counts begin.
    const { requests } = await control('GET', '/stats');
    await pause((requests / rate) * 1_000, undefined, { signal: ending.signal });
    await control('DELETE', '/stats');

    const startedAt = performance.now();
    for (const worker of workers) worker.begin();
    for (const [entityTypeId, fields] of /** @type {const} */ ([
      [contactTypeId, { name: 'jOHN', lastName: 'sMITH' }],
      [smartProcessId, { title: 'Lamp' }],
    ])) {
      await control('POST', '/mass-update', { entityTypeId, count: contactsFor(rate), fields });
    }
    // Half a second more, so that it is clear how often the counter fell.
    await pause(startedAt + seconds * 1_000 + 500 - performance.now(), undefined, { signal: ending.signal });
    const stats = await control('GET', '/stats');
    const lastedMs = performance.now() - startedAt;
    const results = await Promise.all(workers.map((worker) => worker.stop()));
    return {
      allowed: burst + rate * Math.floor(lastedMs / 1_000),
      requests: stats.requests - stats.refusals,
      rejected: stats.refusals,
      calls: stats.calls,
      read: results.reduce((sum, { done }) => sum + done.background, 0),
      lost: results.flatMap(({ lost }) => lost),
    };
  } finally {
    await closers.close();
  }
}

/** More than can be written in the time. @param {number} rate */
function contactsFor(rate) {
  return 50 * seconds * rate + 2_500;
}

/**
 * @param {import('../support/system.mjs').System} system
 * @param {{ rate: number, burst: number }} limit
 * @param {AbortSignal} signal
 */
async function preparePortal(system, limit, signal) {
  const name = 'limited';
  /** @param {string} method @param {string} path @param {object} [body] @returns {Promise<any>} */
  const send = async (method, path, body) => {
    const answer = await fetch(`${system.simulatorUrl}${path}`, {
      method,
      ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      signal,
    });
    if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${await answer.text()}`);
    return answer.json();
  };
  /** @param {string} method @param {string} path @param {object} [body] */
  const control = (method, path, body) => send(method, `/_sim/portals/${name}${path}`, body);

  const { member_id: memberId, webhooks } = await send('POST', '/_sim/portals', {
    name,
    ...limit,
    latencyMs: 50,
    types: [{ entityTypeId: smartProcessId, title: 'Deliveries' }],
  });
  const count = contactsFor(limit.rate);
  for (const [type, fields] of /** @type {const} */ ([
    [contactTypeId, { name: 'John', lastName: 'Smith' }],
    [smartProcessId, { title: 'Chair' }],
  ])) {
    await control('POST', `/items/${type}`, { fields, count, silent: true });
  }
  await control('POST', '/install', { url: `${system.gatewayUrl}/b24/install` });
  const wanted = ['ONCRMCONTACTUPDATE', 'ONCRMDYNAMICITEMUPDATE'];
  await until(
    'no event is bound',
    async () => {
      /** @type {{ handlers: { event: string }[] }} */
      const { handlers } = await control('GET', '');
      return wanted.every((event) => handlers.some((handler) => handler.event === event)) || undefined;
    },
    { timeoutMs: 60_000, signal },
  );
  return { memberId, webhookUrl: String(webhooks[0]), control };
}
