const { imul } = Math;

/** A pseudo-random generator: the same seed gives the same numbers. */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** 0 to 2³²−1. */
  next(): number {
    this.state = (this.state + 0x9e3779b9) >>> 0;
    return mix(this.state);
  }

  /** From 0 up to `limit`, which is excluded. */
  below(limit: number): number {
    return Math.floor((this.next() / 2 ** 32) * limit);
  }

  happens(chance: number): boolean {
    return this.next() / 2 ** 32 < chance;
  }
}

/** A 32-bit number that depends on the three arguments only. */
export function roll(seed: number, id: number, salt: number): number {
  return mix(mix(mix(seed >>> 0) ^ id) ^ salt);
}

/** The finaliser of MurmurHash3: every bit of the input changes half of the output's. */
function mix(value: number): number {
  let hash = value;
  hash = imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
