import { EventPoster } from '../support/event-poster.mjs';
import { inParallel } from '../support/in-parallel.mjs';
import { Link } from '../support/link.mjs';
import { Portal } from '../support/portal.mjs';
import { startSystem } from '../support/system.mjs';
import { until } from '../support/wait.mjs';

/** @typedef {import('../support/event-poster.mjs').Sender} Sender */
/**
 * @typedef {object} Fixture
 * @property {import('../support/system.mjs').System} system
 * @property {Sender[]} senders
 * @property {number} contacts of each portal, all with wrong names
 * @property {number} bytes that each event carries more than a real one
 * @property {Link | undefined} link to the broker
 */

export const consumer = 'name-formatter';
/** As usual in the cloud (`settings/performance/limits.md`). */
const defaultLimit = { rate: 2, burst: 50 };
const installConcurrency = 8;
/** A few times what Bitrix24's queue of one portal has on its way. */
const postConcurrency = 32;

/**
 * @param {{ portals: number, events: number, bytes: number, latencyMs: number, bus: import('../support/system.mjs').Bus | undefined }} options
 * @param {import('../support/system.mjs').Closers} closers
 * @param {AbortSignal} signal
 * @returns {Promise<Fixture>}
 */
export async function openFixture({ portals, events, bytes, latencyMs, bus }, closers, signal) {
  /** @type {Link | undefined} */
  let link;
  const throughLink = async (/** @type {string} */ amqpUrl) => {
    const url = new URL(amqpUrl);
    if (url.port === '') url.port = '5672';
    const opened = new Link(url);
    link = opened;
    closers.add(() => opened.close());
    url.port = String(await opened.listen());
    url.hostname = '127.0.0.1';
    return url.href;
  };
  const system = await startSystem([consumer], bus, closers, signal, { wayTo: throughLink });
  const contacts = Math.ceil(events / portals);
  /** @type {Sender[]} */
  const senders = [];
  const names = Array.from({ length: portals }, (_, index) => `portal-${index + 1}`);
  await inParallel(names, installConcurrency, async (name) => {
    const portal = await Portal.create(system.simulatorUrl, name, { ...defaultLimit, latencyMs }, signal);
    await portal.seedWrong(contacts);
    senders.push(await portal.install(`${system.gatewayUrl}/b24/install`));
    const handler = `${system.gatewayUrl}/b24/events`;
    const isBound = async () => (await portal.isBound('ONCRMCONTACTUPDATE', handler)) || undefined;
    await until(`${name} is not bound`, isBound, { timeoutMs: 120_000, signal });
  });
  return { system, senders, contacts, bytes, link };
}

/** One event of each contact, those of the portals mixed; resolves when the last was answered with 200. @param {Fixture} fixture */
export async function postAll({ system, senders, contacts, bytes }) {
  const poster = new EventPoster(system.gatewayUrl, postConcurrency, bytes);
  try {
    await inParallel(mixed(senders, contacts), postConcurrency, ([sender, id]) => poster.post(sender, id));
  } finally {
    await poster.close();
  }
}

/** @param {Sender[]} senders @param {number} contacts @returns {Generator<[Sender, number]>} */
function* mixed(senders, contacts) {
  for (let id = 1; id <= contacts; id += 1) for (const sender of senders) yield [sender, id];
}
