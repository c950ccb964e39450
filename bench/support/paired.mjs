/** Pairs of measurements, and what they say of the ratio of the two. */
import { median, quantile } from './quantiles.mjs';

const RESAMPLES = 10_000;
/** Of the interval: one of twenty such benchmarks is wrong. */
const TAIL = 0.025;

/**
 * The median of values, and the interval that it is in at 95 %: by bootstrap, from the same random numbers each time.
 * @param {readonly number[]} values
 */
export function estimate(values) {
  const random = randomNumbers();
  const medians = Array.from({ length: RESAMPLES }, () =>
    median(values.map(() => values[Math.floor(random() * values.length)] ?? NaN)),
  );
  return { median: median(values), least: quantile(medians, TAIL), most: quantile(medians, 1 - TAIL) };
}

/** From 0 to 1 (mulberry32). */
function randomNumbers() {
  let state = 1;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
