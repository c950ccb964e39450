/**
 * Portals of a simulated Bitrix24 in mode `both`, whose contacts change. What happens there is known, whoever was told of it: the
 * ledger notes each change as soon as the portal has it.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';

const contactTypeId = 3;
/** Share of the changes that add a contact; the others change one of the last. */
const freshShare = 0.4;
const lastContacts = 20;
/** Now and then many change at once. */
const burst = { share: 1 / 60, least: 20, most: 80 };
const boundEvents = ['ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE'];
const bindTimeoutMs = 120_000;
const pollEveryMs = 500;

const created = z.object({ member_id: z.string() });
const item = z.object({ id: z.coerce.number() });
const offline = z.object({
  handlers: z.array(z.object({ event: z.string() })),
  records: z.array(z.object({ processId: z.string() })),
});
const bound = z.object({ handlers: z.array(z.object({ event: z.string(), url: z.string() })) });
const statistics = z.object({ events: z.object({ answers: z.record(z.string(), z.number()) }) });

/** @typedef {{ name: string, memberId: string, contacts: number[] }} ChangingPortal */

export class ChangingPortals {
  /** @type {ChangingPortal[]} */
  #portals = [];
  #isOver = false;
  /** @type {Promise<void> | undefined} */
  #changing;

  /** @param {{ url: string, close: () => Promise<void> }} simulator */
  constructor(simulator) {
    this.simulator = simulator;
    this.url = simulator.url;
  }

  /** @param {{ id: string, secret: string }} application */
  static async start({ id, secret }) {
    const dist = join(import.meta.dirname, '../../dist');
    const { startSimulator } = await import(join(dist, 'apps/portal-simulator/src/simulator.js'));
    const { silentLog } = await import(join(dist, 'libs/platform/src/index.js'));
    return new ChangingPortals(
      await startSimulator({ port: 0, log: silentLog, clientId: id, clientSecret: secret }),
    );
  }

  /**
   * The application is installed in each, and all that it wants is bound, online and offline. Every second one has the plan that reserves
   * records, and half of those leave out what the application writes.
   * @param {number} count
   * @param {string} publicUrl
   */
  async install(count, publicUrl) {
    for (let at = 0; at < count; at += 1) {
      const name = `changing${at + 1}`;
      const made = created.parse(
        await this.#control('POST', '/_sim/portals', { name, rate: 50, burst: 500 }),
      );
      const features = {
        rest_offline_extended: at % 2 === 0 ? 'Y' : 'N',
        rest_auth_connector: at % 4 === 0 ? 'Y' : 'N',
      };
      await this.#control('PATCH', `/_sim/portals/${name}`, { features });
      await this.#control('POST', `/_sim/portals/${name}/install`, { url: `${publicUrl}/b24/install` });
      this.#portals.push({ name, memberId: made.member_id, contacts: [] });
    }
    const handler = `${publicUrl}/b24/events`;
    for (const portal of this.#portals) {
      const deadline = Date.now() + bindTimeoutMs;
      while (!(await this.#isBound(portal, handler))) {
        if (Date.now() > deadline) throw new Error(`not all events of ${portal.name} are bound`);
        await pause(pollEveryMs);
      }
    }
  }

  /** @param {ChangingPortal} portal @param {string} handler */
  async #isBound({ name }, handler) {
    const { handlers } = bound.parse(await this.#control('GET', `/_sim/portals/${name}`));
    const online = handlers.flatMap(({ event, url }) => (url === handler ? event : []));
    const queue = offline.parse(await this.#control('GET', `/_sim/portals/${name}/offline`));
    const recorded = queue.handlers.map(({ event }) => event);
    return (
      [...boundEvents, 'ONOFFLINEEVENT'].every((event) => online.includes(event)) &&
      boundEvents.every((event) => recorded.includes(event))
    );
  }

  /**
   * @param {import('./ledger.mjs').Ledger} ledger
   * @param {import('./random.mjs').Random} random
   * @param {number} rate changes a second
   */
  change(ledger, random, rate) {
    const work = async () => {
      for (let nextAt = performance.now(); !this.#isOver;) {
        nextAt = Math.max(nextAt + 1_000 / rate, performance.now());
        await pause(nextAt - performance.now());
        const portal = random.pick(this.#portals);
        const times = random.chance(burst.share) ? random.between(burst.least, burst.most) : 1;
        for (let time = 0; time < times; time += 1) await this.#changeOne(portal, ledger, random);
      }
    };
    this.#changing = work();
  }

  async stop() {
    this.#isOver = true;
    await this.#changing;
  }

  /**
   * Noted when the portal has answered: a run that began before may have seen the change or not.
   * @param {ChangingPortal} portal
   * @param {import('./ledger.mjs').Ledger} ledger
   * @param {import('./random.mjs').Random} random
   */
  async #changeOne({ name, memberId, contacts }, ledger, random) {
    const id =
      contacts.length === 0 || random.chance(freshShare)
        ? undefined
        : random.pick(contacts.slice(-lastContacts));
    const fields = { name: `Ann ${random.between(1, 1_000_000)}` };
    const changed = item.parse(
      await this.#control('POST', `/_sim/portals/${name}/items/${contactTypeId}`, { id, fields }),
    );
    if (id === undefined) contacts.push(changed.id);
    ledger.changed({ portal: memberId, thing: `CRMCONTACT:${changed.id}` });
  }

  /** Records that were reserved by somebody, and not deleted. */
  async reserved() {
    let count = 0;
    for (const { name } of this.#portals) {
      const { records } = offline.parse(await this.#control('GET', `/_sim/portals/${name}/offline`));
      count += records.filter(({ processId }) => processId !== '').length;
    }
    return count;
  }

  /** What became of the events that the portals posted, by answer. */
  async answers() {
    /** @type {Record<string, number>} */
    const all = {};
    for (const { name } of this.#portals) {
      const { events } = statistics.parse(await this.#control('GET', `/_sim/portals/${name}/stats`));
      for (const [answer, count] of Object.entries(events.answers)) all[answer] = (all[answer] ?? 0) + count;
    }
    return all;
  }

  /** @param {string} method @param {string} path @param {object} [body] @returns {Promise<unknown>} */
  async #control(method, path, body) {
    const json = body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    const answer = await fetch(`${this.url}${path}`, { method, ...json });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }
}
