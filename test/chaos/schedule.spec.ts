import { describe, expect, it } from '@jest/globals';
import { Random } from './random.mjs';
import { plan } from './schedule.mjs';

const replicas = ['one', 'two', 'three'];
const seconds: [number, number] = [1, 2];
const faults = [
  { kind: 'kill', targets: () => replicas, seconds },
  { kind: 'freeze', targets: () => replicas, seconds },
  { kind: 'not to be had here', targets: () => [], seconds },
];
const planFor = (seed: number, forSeconds: number) => plan(faults, undefined, forSeconds, new Random(seed));

describe('the fault plan', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(planFor(7, 60)).toEqual(planFor(7, 60));
    expect(planFor(7, 60)).not.toEqual(planFor(8, 60));
  });

  it('has every available kind, however short the run is', () => {
    expect(new Set(planFor(7, 1).map(({ fault }) => fault.kind))).toEqual(new Set(['kill', 'freeze']));
  });

  it('avoids targets that are probably still recovering, as long as there are others', () => {
    const planned = planFor(7, 300);
    expect(planned.length).toBeGreaterThan(50);
    const hitTooSoon = planned.filter(({ atMs, target }, index) => {
      const isBusy = (name: string): boolean =>
        planned.slice(0, index).some((one) => one.target === name && one.atMs + one.ms + 5_000 > atMs);
      return isBusy(target) && !replicas.every(isBusy);
    });
    expect(hitTooSoon).toEqual([]);
  });

  it('keeps within the durations of each fault', () => {
    for (const { ms } of planFor(7, 300)) {
      expect(ms).toBeGreaterThanOrEqual(1_000);
      expect(ms).toBeLessThanOrEqual(2_000);
    }
  });
});
