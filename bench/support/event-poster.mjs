import { Pool } from 'undici';

/** @typedef {Pick<import('./portal.mjs').Grant, 'member_id' | 'domain' | 'client_endpoint' | 'application_token'>} Sender */

/** Posts events of contacts to the gateway as Bitrix24 does (`api-reference/events/index.md`). */
export class EventPoster {
  #pool;
  #posted = 0;
  #padding;

  /**
   * @param {string} gatewayUrl
   * @param {number} connections the most events on their way at once
   * @param {number} [bytes] that each carries more than a real one
   */
  constructor(gatewayUrl, connections, bytes = 0) {
    this.#padding = bytes > 0 ? `&data[FIELDS][COMMENTS]=${'x'.repeat(bytes)}` : '';
    this.#pool = new Pool(gatewayUrl, { connections, pipelining: 1 });
  }

  /** @param {Sender} sender @param {number} contactId @returns {Promise<number>} milliseconds of `performance.now()` when the 200 came */
  async post(sender, contactId) {
    const { statusCode, body } = await this.#pool.request({
      method: 'POST',
      path: '/b24/events',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: formOf(sender, contactId, ++this.#posted) + this.#padding,
    });
    const answeredAt = performance.now();
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`the gateway answered ${statusCode}: ${text}`);
    return answeredAt;
  }

  async close() {
    await this.#pool.destroy();
  }
}

/** @param {Sender} sender @param {number} contactId @param {number} handlerId */
export function formOf({ member_id, domain, client_endpoint, application_token }, contactId, handlerId) {
  return new URLSearchParams({
    event: 'ONCRMCONTACTUPDATE',
    event_handler_id: String(handlerId),
    'data[FIELDS][ID]': String(contactId),
    ts: String(Math.floor(Date.now() / 1000)),
    'auth[domain]': domain,
    'auth[client_endpoint]': client_endpoint,
    'auth[member_id]': member_id,
    'auth[application_token]': application_token,
  }).toString();
}
