/** Portals of the simulator with the application installed: many with one contact, and some that are to be flooded. */
import { addWebhookPair, setLimit } from '../support/operator.mjs';
import { inParallel } from '../support/in-parallel.mjs';
import { Portal } from '../support/portal.mjs';
import { until } from '../support/wait.mjs';
import { Corrections } from './corrections.mjs';
import { namesOf, shardMates } from './shard-mates.mjs';

/** @typedef {import('../support/system.mjs').System} System */
/** @typedef {{ portal: Portal, sender: import('../support/event-poster.mjs').Sender }} Installed */
/** @typedef {{ single: Installed[], flooded: Installed[], corrections: Corrections }} Fixture */

/** As usual in the cloud (`settings/performance/limits.md`). */
export const defaultLimit = { rate: 2, burst: 50 };
const installConcurrency = 8;
const bindTimeoutMs = 300_000;

/**
 * @param {System} system
 * @param {import('../support/event-poster.mjs').EventPoster} poster
 * @param {import('./options.mjs').Options} options
 * @param {import('../support/system.mjs').Closers} closers
 * @param {AbortSignal} signal
 * @returns {Promise<Fixture>}
 */
export async function openFixture(system, poster, options, closers, signal) {
  const corrections = new Corrections();
  await corrections.listen();
  closers.add(() => corrections.close());
  const settings = { ...defaultLimit, latencyMs: options.latencyMs };
  const install = async (/** @type {string} */ name, /** @type {number} */ contacts) => {
    const portal = await Portal.create(system.simulatorUrl, name, settings, signal);
    if (contacts > 0) await portal.seed(contacts);
    return { portal, sender: await portal.install(`${system.gatewayUrl}/b24/install`) };
  };
  /** @type {Installed[]} */
  const flooded = [];
  // On a server of their own, as portals are: the simulator, one process, would let the others wait.
  const elsewhere = await system.startOtherSimulator();
  for (let n = 1; n <= options.floods; n += 1) {
    const portal = await Portal.create(elsewhere, `flooded-${n}`, settings, signal);
    await portal.setMethodTimes({ 'crm.item.update': options.updateMs });
    flooded.push({ portal, sender: await registered(portal, system, poster) });
  }
  const isMate = options.areShardMates ? await shardMates(flooded[0]?.sender.member_id) : () => true;
  /** @type {Installed[]} */
  const single = [];
  await inParallel(namesOf(options.portals, isMate), installConcurrency, async (name) => {
    // One for each round: a name that is made wrong again is left alone (apps/name-formatter/src/correction-memory.ts).
    const one = await install(name, 1 + 2 * options.rounds);
    await one.portal.addOutgoingWebhook('ONCRMCONTACTUPDATE', corrections.urlFor(name));
    single.push(one);
  });
  await allBound(system, options.portals, signal);
  return { single, flooded, corrections };
}

/** By a pair of webhooks and its first event. @param {Portal} portal @param {System} system @param {import('../support/event-poster.mjs').EventPoster} poster */
async function registered(portal, { gatewayUrl, operator }, poster) {
  const [webhookUrl] = portal.made?.webhooks ?? [];
  if (!portal.made || webhookUrl === undefined) throw new Error(`${portal.name} has no incoming webhook`);
  const { member_id, domain } = portal.made;
  const pair = await portal.addOutgoingWebhook('ONCRMCONTACTUPDATE', `${gatewayUrl}/b24/events`);
  await addWebhookPair(operator, { webhookUrl, applicationToken: pair.application_token });
  const sender = { member_id, domain, client_endpoint: `http://${domain}/rest/`, ...pair };
  await poster.post(sender, 1);
  return sender;
}

/** @param {System} system @param {number} portals @param {AbortSignal} signal */
async function allBound({ simulatorUrl, gatewayUrl }, portals, signal) {
  const look = async () => {
    const answer = await fetch(`${simulatorUrl}/_sim/portals`, { signal });
    /** @type {{ handlers: { event: string, url: string }[] }[]} */
    const shown = JSON.parse(await answer.text());
    const bound = shown.filter(({ handlers }) =>
      handlers.some(({ event, url }) => event === 'ONCRMCONTACTUPDATE' && url === `${gatewayUrl}/b24/events`),
    );
    return bound.length >= portals || undefined;
  };
  await until('not all portals are bound', look, { everyMs: 1_000, timeoutMs: bindTimeoutMs, signal });
}

const unlimited = { rate: 1_000, burst: 10_000 };

/** What is left of the flood is worked off without a limit, so that the next round finds nothing. @param {System} system @param {Fixture} fixture @param {import('./flood.mjs').Flood} flood @param {import('./options.mjs').Options} options @param {AbortSignal} signal */
export async function workOff(system, { flooded }, flood, { updateMs }, signal) {
  await limitAll(system, flooded, unlimited);
  for (const { portal } of flooded) {
    await portal.setMethodTimes({});
    await portal.allRight(flood.contacts, { timeoutMs: 600_000, written: flood.wrong });
    await portal.untilIdle();
    await portal.forgetCounts();
    await portal.setMethodTimes({ 'crm.item.update': updateMs });
  }
  await limitAll(system, flooded, defaultLimit);
  signal.throwIfAborted();
}

/** @param {System} system @param {Installed[]} portals @param {import('../rest/lower-bound.mjs').Limit} limit */
async function limitAll({ operator }, portals, limit) {
  for (const { portal, sender } of portals) {
    await portal.setLimit(limit);
    await setLimit(operator, sender.member_id, limit);
  }
}
