/** The simulated Bitrix24: its REST by incoming webhook, and its control, which costs the portal nothing. */
import { DemoFailure, SystemGone } from './failure.mjs';
import { wait } from './wait.mjs';

/** @typedef {ReturnType<import('../../apps/portal-simulator/src/limits/stats.js').Stats['read']>} Stats */
/** @typedef {{ id: number, name?: string, secondName?: string, lastName?: string, title?: string, originatorId?: string }} Item */
/**
 * @typedef {object} Portal
 * @property {string} name
 * @property {string} member_id
 * @property {{ event: string }[]} handlers
 * @property {{ rate: number, burst: number }} settings
 */
/** @typedef {{ status: number, body: any }} Answer */

export const contactTypeId = 3;
const answerTimeoutMs = 15_000;
const limitPauseMs = 1000;

export class Simulator {
  /** What this demo itself asked by REST, which is no cost of b24-relay's. */
  own = { refusals: 0, calls: /** @type {Record<string, number>} */ ({}) };

  /** @param {string} url @param {AbortSignal} signal of the whole demo */
  constructor(url, signal) {
    this.url = url;
    this.signal = signal;
  }

  /** @returns {Promise<Answer | undefined>} undefined: nobody listens there */
  async look(path = '/_sim/portals/demo') {
    try {
      return await this.#send('GET', path);
    } catch (error) {
      this.signal.throwIfAborted();
      if (isRejected(error)) return undefined;
      throw new DemoFailure(
        `Something at ${this.url} does not answer as the simulator does: ${reasonOf(error)}.`,
      );
    }
  }

  /** @returns {Promise<Portal>} */
  async portal() {
    return this.#control('GET', '');
  }

  /** @returns {Promise<Stats>} */
  async stats() {
    return this.#control('GET', '/stats');
  }

  /**
   * @param {number} typeId
   * @param {{ after?: number, limit: number }} range
   * @returns {Promise<{ total: number, items: Item[] }>} in ascending order of their ids
   */
  async items(typeId, { after = 0, limit }) {
    return this.#control('GET', `/items/${typeId}?after=${after}&limit=${limit}`);
  }

  /**
   * @param {number} typeId
   * @param {object} body `{id, fields}`, `{fields}`, or `{fields, count, silent}`
   * @returns {Promise<{ id: number }>}
   */
  async put(typeId, body) {
    return this.#control('POST', `/items/${typeId}`, body);
  }

  /** @param {number} typeId @param {number} id */
  async remove(typeId, id) {
    await this.#control('DELETE', `/items/${typeId}/${id}`);
  }

  /** @param {object} body @returns {Promise<{ updated: number }>} */
  async massUpdate(body) {
    return this.#control('POST', '/mass-update', body);
  }

  /**
   * By the portal's incoming webhook, as any program of its user would; asks again when the portal takes no more for now.
   *
   * @param {string} method
   * @param {object} params
   * @returns {Promise<any>} its `result`
   */
  async call(method, params) {
    for (;;) {
      const { status, body } = await this.#ask('POST', `/portals/demo/rest/1/demo/${method}`, params);
      if (status === 200) {
        this.own.calls[method] = (this.own.calls[method] ?? 0) + 1;
        return body.result;
      }
      if (body.error !== 'QUERY_LIMIT_EXCEEDED')
        throw new DemoFailure(`${method} was rejected: ${body.error}.`);
      this.own.refusals += 1;
      await wait(limitPauseMs, this.signal);
    }
  }

  /** @param {string} method @param {string} path @param {object} [body] @returns {Promise<any>} */
  async #control(method, path, body) {
    const answer = await this.#ask(method, `/_sim/portals/demo${path}`, body);
    if (answer.status < 300) return answer.body;
    throw new DemoFailure(`The simulator rejected ${method} ${path}: ${answer.body.error}.`);
  }

  /** @param {string} method @param {string} path @param {object} [body] */
  async #ask(method, path, body) {
    try {
      return await this.#send(method, path, body);
    } catch (error) {
      this.signal.throwIfAborted();
      throw new SystemGone(`The simulator at ${this.url} does not answer any more: ${reasonOf(error)}.`);
    }
  }

  /** @param {string} method @param {string} path @param {object} [body] @returns {Promise<Answer>} */
  async #send(method, path, body) {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${this.url}${path}`, {
      method,
      ...(body && { headers, body: JSON.stringify(body) }),
      signal: AbortSignal.any([this.signal, AbortSignal.timeout(answerTimeoutMs)]),
    });
    return { status: answer.status, body: await answer.json() };
  }
}

/** @param {unknown} error of fetch, which hides the reason in its cause */
function reasonOf(error) {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (cause instanceof AggregateError) return reasonOf(cause.errors[0]);
  return cause instanceof Error ? cause.message : error.message;
}

/** @param {unknown} error */
function isRejected(error) {
  return reasonOf(error).includes('ECONNREFUSED');
}
