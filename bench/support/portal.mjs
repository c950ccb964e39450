import { setTimeout as pause } from 'node:timers/promises';
import { until } from './wait.mjs';

export const contactTypeId = 3;
export const wrongName = { name: 'jOHN', lastName: 'sMITH' };
const rightName = { name: 'John', lastName: 'Smith' };
const idleForMs = 3_000;

/** @typedef {{ requests: number, refusals: number, calls: Record<string, number>, events: { sent: number, pending: number } }} Stats */
/**
 * @typedef {object} Grant what an install brings
 * @property {string} access_token
 * @property {string} refresh_token
 * @property {string} application_token
 * @property {string} member_id
 * @property {string} domain
 * @property {string} client_endpoint
 */

/** A portal of the simulator, by its control interface: nothing of this costs it a request. */
export class Portal {
  /** @type {{ member_id: string, domain: string, webhooks: string[] } | undefined} */
  made;

  /** @param {string} simulatorUrl @param {string} name @param {AbortSignal} signal */
  constructor(simulatorUrl, name, signal) {
    this.simulatorUrl = simulatorUrl;
    this.name = name;
    this.signal = signal;
  }

  /**
   * @param {string} simulatorUrl
   * @param {string} name
   * @param {{ rate: number, burst: number, latencyMs: number }} settings
   * @param {AbortSignal} signal
   */
  static async create(simulatorUrl, name, settings, signal) {
    const portal = new Portal(simulatorUrl, name, signal);
    portal.made = await portal.#send('POST', '/_sim/portals', { name, ...settings });
    return portal;
  }

  /** @param {string} [url] who is told; nobody for a program that is given its tokens by hand @returns {Promise<Grant>} */
  async install(url) {
    return this.#control('POST', '/install', { url });
  }

  /** @param {string} event @param {string} url @returns {Promise<{ application_token: string }>} */
  async addOutgoingWebhook(event, url) {
    return this.#control('POST', '/outgoing-webhooks', { event, url });
  }

  /** From now on the bucket leaks so fast, and lets so many in at once. @param {import('../rest/lower-bound.mjs').Limit} limit */
  async setLimit({ rate, burst }) {
    await this.#control('PATCH', '', { rate, burst });
  }

  /** How long each call of a method takes, also in a batch. @param {Record<string, number>} methodMs */
  async setMethodTimes(methodMs) {
    await this.#control('PATCH', '', { methodMs });
  }

  /** The plan, and whether the application's own changes are recorded in its offline queue. @param {{ features: Record<string, string>, offlineOwnWrites: boolean }} settings */
  async setPlan(settings) {
    await this.#control('PATCH', '', settings);
  }

  /** @returns {Promise<{ handlers: { event: string, connector: string }[], records: object[] }>} */
  async offlineQueue() {
    return this.#control('GET', '/offline');
  }

  /** Somebody writes one name wrong; the portal tells of it. @param {number} id */
  async spoil(id) {
    await this.#control('POST', `/items/${contactTypeId}`, { id, fields: wrongName });
  }

  /** Contacts with right names, of which nobody hears. @param {number} count */
  async seed(count) {
    await this.#control('POST', `/items/${contactTypeId}`, { fields: rightName, count, silent: true });
  }

  /** One name is wrong from now on, and nobody hears of it. @param {number} id */
  async spoilInSilence(id) {
    await this.#control('POST', `/items/${contactTypeId}`, { id, fields: wrongName, silent: true });
  }

  /** Contacts with wrong names, of which nobody hears. @param {number} count */
  async seedWrong(count) {
    await this.#control('POST', `/items/${contactTypeId}`, { fields: wrongName, count, silent: true });
  }

  /** Somebody writes all names wrong; the portal tells of each contact. @param {number} count */
  async spoilNames(count) {
    await this.#control('POST', '/mass-update', { entityTypeId: contactTypeId, count, fields: wrongName });
  }

  async forgetCounts() {
    await this.#control('DELETE', '/stats');
  }

  /** @returns {Promise<Stats>} */
  async stats() {
    return this.#control('GET', '/stats');
  }

  /** @param {string} event @param {string} url */
  async isBound(event, url) {
    /** @type {{ handlers: { event: string, url: string }[] }} */
    const { handlers } = await this.#control('GET', '');
    return handlers.some((handler) => handler.event === event && handler.url === url);
  }

  /** @param {number} count */
  async ids(count) {
    return (await this.#contacts(count)).map(({ id }) => id);
  }

  /**
   * Resolves when every name is right. All contacts are looked at only when enough of them were written.
   * @param {number} count
   * @param {{ timeoutMs: number, written?: number, progress?: (stats: Stats) => void }} options `written`: since the
   *   counts began, if not all of them
   */
  async allRight(count, { timeoutMs, written = count, progress }) {
    const look = async () => {
      const stats = await this.stats();
      progress?.(stats);
      if ((stats.calls['crm.item.update'] ?? 0) < written) return undefined;
      const contacts = await this.#contacts(count);
      const isRight = contacts.every(
        ({ name, lastName }) => name === rightName.name && lastName === rightName.lastName,
      );
      return contacts.length === count && isRight ? true : undefined;
    };
    await until(`not all names of ${this.name} are right`, look, { timeoutMs, signal: this.signal });
  }

  /** Resolves when no event is on its way and no request came for a while. */
  async untilIdle() {
    let requests = -1;
    let sinceMs = performance.now();
    const look = async () => {
      const stats = await this.stats();
      if (stats.requests !== requests || stats.events.pending > 0) sinceMs = performance.now();
      requests = stats.requests;
      return performance.now() - sinceMs >= idleForMs || undefined;
    };
    await until(`${this.name} does not come to rest`, look, { timeoutMs: 120_000, signal: this.signal });
  }

  /** The counts begin anew, with an empty bucket: what was asked for so far has leaked out. @param {number} rate */
  async beginAnew(rate) {
    await this.untilIdle();
    const { requests } = await this.stats();
    await pause((requests / rate) * 1000, undefined, { signal: this.signal });
    await this.forgetCounts();
  }

  /** @param {number} count @returns {Promise<{ id: number, name: string, lastName: string }[]>} */
  async #contacts(count) {
    const { items } = await this.#control('GET', `/items/${contactTypeId}?limit=${count}`);
    return items;
  }

  /** @param {string} method @param {string} path @param {object} [body] */
  #control(method, path, body) {
    return this.#send(method, `/_sim/portals/${this.name}${path}`, body);
  }

  /** @param {string} method @param {string} path @param {object} [body] @returns {Promise<any>} */
  async #send(method, path, body) {
    const answer = await fetch(`${this.simulatorUrl}${path}`, {
      method,
      ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      signal: this.signal,
    });
    if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${await answer.text()}`);
    return answer.json();
  }
}

/** A whole event as a cloud portal sends it (api-reference/events/index.md). @param {Grant} grant */
export function eventBody({
  access_token,
  refresh_token,
  application_token,
  member_id,
  domain,
  client_endpoint,
}) {
  return new URLSearchParams({
    event: 'ONCRMCONTACTUPDATE',
    event_handler_id: '123',
    'data[FIELDS][ID]': '82',
    ts: '1764444444',
    'auth[access_token]': access_token,
    'auth[expires_in]': '3600',
    'auth[scope]': 'crm,user_brief',
    'auth[domain]': domain,
    'auth[server_endpoint]': 'https://oauth.bitrix.info/rest/',
    'auth[status]': 'L',
    'auth[client_endpoint]': client_endpoint,
    'auth[member_id]': member_id,
    'auth[user_id]': '1',
    'auth[refresh_token]': refresh_token,
    'auth[application_token]': application_token,
  }).toString();
}
