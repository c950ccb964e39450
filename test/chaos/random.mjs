/** A seeded generator (mulberry32), so that a run's plan can be repeated. */
export class Random {
  #state;

  /** @param {number} seed */
  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** @returns {number} 0 up to, not including, 1 */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let bits = this.#state;
    bits = Math.imul(bits ^ (bits >>> 15), bits | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  }

  /** @param {number} low @param {number} high @returns {number} a whole number, both included */
  between(low, high) {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** @param {number} probability */
  chance(probability) {
    return this.next() < probability;
  }

  /** @template T @param {readonly T[]} list @returns {T} */
  pick(list) {
    const picked = list[this.between(0, list.length - 1)];
    if (picked === undefined) throw new RangeError('nothing to pick from');
    return picked;
  }

  /** @template T @param {readonly T[]} list @returns {T[]} */
  shuffled(list) {
    const rest = [...list];
    return list.flatMap(() => rest.splice(this.between(0, rest.length - 1), 1));
  }

  /** An independent sequence, whatever amount of this one is used later. */
  fork() {
    return new Random(this.between(0, 2 ** 32 - 1));
  }
}
