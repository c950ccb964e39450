import { cpuSeconds } from '../support/cpu.mjs';
import { until } from '../support/wait.mjs';

const timeoutMs = 1_800_000;
const unlimited = { rate: 100_000, burst: 100_000 };

/**
 * @typedef {object} Ran
 * @property {number} seconds
 * @property {number} requests
 * @property {number} megabytes the most that the consumer's process had
 * @property {number | undefined} cpu seconds that the consumer's process took of the processors
 * @property {number | undefined} simulatorCpu the same of the simulated portal's process
 */
/** @typedef {import('../support/system.mjs').System} System */

/** A portal with smart processes that is mirrored, and the operator who asks for it. */
export class MirroredPortal {
  /** @param {System} system @param {string} name @param {readonly number[]} types @param {string} memberId @param {AbortSignal} signal */
  constructor(system, name, types, memberId, signal) {
    this.system = system;
    this.name = name;
    this.types = types;
    this.memberId = memberId;
    this.signal = signal;
  }

  /**
   * Installed and mirrored, without items; the system knows its limit.
   *
   * @param {System} system
   * @param {string} name
   * @param {readonly number[]} types
   * @param {AbortSignal} signal
   * @param {{ rate: number, burst: number }} [limit]
   */
  static async create(system, name, types, signal, limit) {
    const made = await send(signal, 'POST', `${system.simulatorUrl}/_sim/portals`, {
      name,
      ...(limit ?? unlimited),
      types: types.map((entityTypeId) => ({ entityTypeId, title: `Type ${entityTypeId}`, fields: 'every' })),
    });
    const portal = new MirroredPortal(system, name, types, made.member_id, signal);
    await portal.#simulator('POST', '/install', { url: `${system.gatewayUrl}/b24/install` });
    await portal.#operator('PUT', `/portals/${portal.memberId}/limit`, { limit: limit ?? 'free' });
    await portal.#ended('complete');
    return portal;
  }

  /** @param {number} items */
  async fill(items) {
    const count = Math.ceil(items / this.types.length);
    for (const type of this.types)
      await this.#simulator('POST', `/items/${type}/make`, { count, seed: type });
  }

  /** @param {'backfill' | 'reconcile'} kind @returns {Promise<Ran>} */
  async run(kind) {
    // What came before is followed by a count of values that do not fit the views; one task of a portal at a time.
    await this.#ended('count');
    await this.#untilIdle();
    await this.#simulator('DELETE', '/stats');
    let bytes = 0;
    const before = this.#cpu();
    const started = performance.now();
    const { task } = await this.#operator('POST', `/sync/${this.memberId}/${kind}`);
    await this.#ended(kind, task.id, async () => {
      bytes = Math.max(bytes, await this.#memory());
    });
    const seconds = (performance.now() - started) / 1_000;
    const after = this.#cpu();
    const { requests } = await this.#simulator('GET', '/stats');
    return {
      seconds,
      requests,
      megabytes: bytes / 1024 / 1024,
      cpu: between(before.consumer, after.consumer),
      simulatorCpu: between(before.simulator, after.simulator),
    };
  }

  #cpu() {
    const { apps } = this.system;
    const of = (/** @type {string} */ app) => cpuSeconds(apps[app]?.pid() ?? 0);
    return { consumer: of('smart-process-sync'), simulator: of('portal-simulator') };
  }

  /** What was asked for so far has leaked out of the bucket. */
  async #untilIdle() {
    const { requests, rate } = { rate: 2, ...(await this.#simulator('GET', '/stats')) };
    const waitMs = Math.min(60_000, (requests / rate) * 1_000);
    const from = performance.now();
    await until('it does not come to rest', async () => performance.now() - from > waitMs || undefined, {
      timeoutMs: 120_000,
      signal: this.signal,
    });
  }

  /** @param {string} kind @param {string} [id] @param {() => Promise<void>} [meanwhile] */
  async #ended(kind, id, meanwhile) {
    await until(
      `${kind} of ${this.name} does not end`,
      async () => {
        await meanwhile?.();
        const { tasks } = await this.#operator('GET', `/sync/${this.memberId}`);
        /** @type {{ id: string, kind: string, state: string, error: string | null } | undefined} */
        const task = tasks.find(
          (/** @type {{ id: string, kind: string }} */ one) => one.kind === kind && (id ?? one.id) === one.id,
        );
        if (task?.state === 'failed') throw new Error(`${kind} failed: ${task.error}`);
        return task?.state === 'done' || undefined;
      },
      { timeoutMs, signal: this.signal },
    );
  }

  async #memory() {
    const metrics = await (await fetch(`${this.system.apps['smart-process-sync']?.opsUrl}/metrics`)).text();
    return Number(/^process_resident_memory_bytes (\S+)$/m.exec(metrics)?.[1] ?? 0);
  }

  /** @param {string} method @param {string} path @param {object} [body] */
  #simulator(method, path, body) {
    return send(this.signal, method, `${this.system.simulatorUrl}/_sim/portals/${this.name}${path}`, body);
  }

  /** @param {string} method @param {string} path @param {object} [body] */
  #operator(method, path, body) {
    const { url, token } = this.system.operator;
    return send(this.signal, method, `${url}/ops/api${path}`, body, { authorization: `Bearer ${token}` });
  }
}

/** @param {number | undefined} before @param {number | undefined} after */
function between(before, after) {
  return before === undefined || after === undefined ? undefined : after - before;
}

/**
 * @param {AbortSignal} signal
 * @param {string} method
 * @param {string} url
 * @param {object} [body]
 * @param {Record<string, string>} [headers]
 * @returns {Promise<any>}
 */
async function send(signal, method, url, body, headers = {}) {
  const answer = await fetch(url, {
    method,
    headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
    signal,
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${url} answered ${answer.status}: ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}
