import { describe, expect, it } from '@jest/globals';
import { Outage } from './outage.js';

/** Everything has just failed, at time 0. */
function outage(): Outage {
  const begun = new Outage();
  for (const memberId of ['a', 'b', 'a', 'b', 'a']) begun.failed(memberId, 0);
  return begun;
}

describe('an outage', () => {
  it('begins with five failures in a row', () => {
    const calm = new Outage();
    for (let failures = 1; failures < 5; failures++) expect(calm.failed('a', 0)).toBe(false);
    expect(calm.failed('a', 0)).toBe(true);
    expect(calm.isOn).toBe(true);
  });

  it('does not begin while something works in between', () => {
    const calm = new Outage();
    for (let round = 0; round < 10; round++) {
      for (let failures = 0; failures < 4; failures++) calm.failed('a', 0);
      calm.worked();
    }
    expect(calm.isOn).toBe(false);
  });

  it('lets one event through at a time, ever less often, at most every thirty seconds', () => {
    const on = outage();
    const tries: number[] = [];
    for (let now = 0; now < 200_000; now += 100) {
      if (!on.admits('a', now)) continue;
      on.begin('a', now);
      expect(on.admits('b', now)).toBe(false);
      tries.push(now);
      on.failed('a', now);
    }
    const waits = tries.map((at, index) => at - (tries[index - 1] ?? 0));
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000, 30_000]);
  });

  it('says when the next try is due', () => {
    const on = outage();
    expect(on.probeInMs(400)).toBe(600);
    expect(on.probeInMs(5_000)).toBe(0);
    on.begin('a', 5_000);
    on.tried('a');
    expect(on.probeInMs(5_000)).toBe(0);
    on.worked();
    expect(on.probeInMs(5_000)).toBeUndefined();
  });

  it('does not wait longer than thirty seconds for a try that hangs', () => {
    const on = outage();
    on.begin('a', 5_000);
    expect([on.probeInMs(6_000), on.admits('b', 6_000)]).toEqual([29_000, false]);
    expect([on.probeInMs(35_000), on.admits('b', 35_000)]).toEqual([0, true]);
  });

  it('lets a portal through that has not failed, so that one broken portal is not everybody', () => {
    const on = outage();
    expect(on.admits('healthy', 0)).toBe(true);
    on.failed('healthy', 0);
    expect(on.admits('healthy', 0)).toBe(false);
  });

  it('ends when something works', () => {
    const on = outage();
    expect(on.worked()).toBe(true);
    expect([on.isOn, on.admits('a', 0), on.worked()]).toEqual([false, true, false]);
  });
});
