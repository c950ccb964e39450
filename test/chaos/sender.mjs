/** Sends events to the gateways as Bitrix24 would through a load balancer, and records each result in the ledger. */
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';

/** Timeout of one event; Bitrix24 does not document its own. */
const timeoutMs = 5_000;
/** Like a load balancer: a gateway that did not answer is skipped for a moment, unless no other is available. */
const outMs = 2_000;
const maxInFlight = 32;

/** @typedef {{ url: string, isUp: () => boolean }} Gateway */
/** @typedef {{ gateway: Gateway, inFlight: number, outUntil: number }} Way */

export class Sender {
  /** @type {Way[]} */
  #ways;
  #isOver = false;
  /** @type {Promise<void>[]} */
  #senders = [];
  /** Time of the next event. */
  #nextAt = 0;

  /**
   * @param {import('./ledger.mjs').Ledger} ledger
   * @param {import('./traffic.mjs').Traffic} traffic
   * @param {readonly Gateway[]} gateways
   * @param {number} rate events a second, while they are answered
   */
  constructor(ledger, traffic, gateways, rate) {
    this.ledger = ledger;
    this.traffic = traffic;
    this.everyMs = 1_000 / rate;
    this.#ways = gateways.map((gateway) => ({ gateway, inFlight: 0, outUntil: 0 }));
  }

  start() {
    this.#nextAt = performance.now();
    this.#senders = Array.from({ length: maxInFlight }, () => this.#sendOnAndOn());
  }

  /** Resolves when each event that was sent has its answer, or none. */
  async stop() {
    this.#isOver = true;
    await Promise.all(this.#senders);
  }

  async #sendOnAndOn() {
    while (!this.#isOver) {
      const now = performance.now();
      // Events that could not be sent in time are skipped: portals do not change more because the harness was slow.
      this.#nextAt = Math.max(this.#nextAt + this.everyMs, now);
      await pause(this.#nextAt - now);
      if (!this.#isOver) await this.#send(this.traffic.next());
    }
  }

  /** @param {import('./traffic.mjs').Outgoing} outgoing */
  async #send({ portal, thing, form }) {
    const gatewayUp = this.#ways.some(({ gateway }) => gateway.isUp());
    const answered = this.ledger.sent({ portal: portal.memberId, thing, gatewayUp });
    /** @type {Way[]} */
    const tried = [];
    for (;;) {
      const way = this.#pickTarget(tried);
      if (!way) return answered('refused');
      tried.push(way);
      const answer = await this.#post(way, form);
      if (answer === 'refused' || answer === 'timeout') way.outUntil = performance.now() + outMs;
      // With no listener nothing was sent: another gateway may get it.
      if (answer !== 'refused') return answered(answer);
    }
  }

  /** @param {readonly Way[]} tried */
  #pickTarget(tried) {
    const now = performance.now();
    const left = this.#ways.filter((way) => !tried.includes(way));
    const good = left.filter(({ outUntil }) => outUntil <= now);
    return (good.length > 0 ? good : left).toSorted((one, other) => one.inFlight - other.inFlight)[0];
  }

  /** @param {Way} way @param {URLSearchParams} form @returns {Promise<string>} */
  async #post(way, form) {
    way.inFlight += 1;
    try {
      const answer = await fetch(`${way.gateway.url}/b24/events`, {
        method: 'POST',
        body: form,
        signal: AbortSignal.timeout(timeoutMs),
      });
      await answer.arrayBuffer();
      return String(answer.status);
    } catch (error) {
      return whatCame(error);
    } finally {
      way.inFlight -= 1;
    }
  }
}

const failed = z.object({
  name: z.string().catch(''),
  cause: z.object({ code: z.string().catch('') }).catch({ code: '' }),
});

/** @param {unknown} error */
function whatCame(error) {
  const { name, cause } = failed.parse(error);
  if (name === 'TimeoutError') return 'timeout';
  return cause.code === 'ECONNREFUSED' ? 'refused' : 'broken';
}
