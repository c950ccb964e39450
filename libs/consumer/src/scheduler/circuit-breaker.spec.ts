import { describe, expect, it } from '@jest/globals';
import { CircuitBreaker } from './circuit-breaker.js';

/** Just opened, at time 0. */
function circuitBreaker(): CircuitBreaker {
  const begun = new CircuitBreaker();
  for (const memberId of ['a', 'b', 'a', 'b', 'a']) begun.onFailure(memberId, 0);
  return begun;
}

describe('the circuit breaker', () => {
  it('opens after five failures in a row', () => {
    const calm = new CircuitBreaker();
    for (let failures = 1; failures < 5; failures++) expect(calm.onFailure('a', 0)).toBe(false);
    expect(calm.onFailure('a', 0)).toBe(true);
    expect(calm.isOpen).toBe(true);
  });

  it('does not open while something succeeds in between', () => {
    const calm = new CircuitBreaker();
    for (let round = 0; round < 10; round++) {
      for (let failures = 0; failures < 4; failures++) calm.onFailure('a', 0);
      calm.onSuccess();
    }
    expect(calm.isOpen).toBe(false);
  });

  it('allows one event at a time, with growing delays up to thirty seconds', () => {
    const on = circuitBreaker();
    const tries: number[] = [];
    for (let now = 0; now < 200_000; now += 100) {
      if (!on.allows('a', now)) continue;
      on.begin('a', now);
      expect(on.allows('b', now)).toBe(false);
      tries.push(now);
      on.onFailure('a', now);
    }
    const waits = tries.map((at, index) => at - (tries[index - 1] ?? 0));
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000, 30_000]);
  });

  it('reports when the next probe is due', () => {
    const on = circuitBreaker();
    expect(on.probeInMs(400)).toBe(600);
    expect(on.probeInMs(5_000)).toBe(0);
    on.begin('a', 5_000);
    on.onHalfOpenDone('a');
    expect(on.probeInMs(5_000)).toBe(0);
    on.onSuccess();
    expect(on.probeInMs(5_000)).toBeUndefined();
  });

  it('does not wait longer than thirty seconds for a probe that hangs', () => {
    const on = circuitBreaker();
    on.begin('a', 5_000);
    expect([on.probeInMs(6_000), on.allows('b', 6_000)]).toEqual([29_000, false]);
    expect([on.probeInMs(35_000), on.allows('b', 35_000)]).toEqual([0, true]);
  });

  it('allows a portal that has not failed, so that one broken portal does not stop all', () => {
    const on = circuitBreaker();
    expect(on.allows('healthy', 0)).toBe(true);
    on.onFailure('healthy', 0);
    expect(on.allows('healthy', 0)).toBe(false);
  });

  it('closes when something succeeds', () => {
    const on = circuitBreaker();
    expect(on.onSuccess()).toBe(true);
    expect([on.isOpen, on.allows('a', 0), on.onSuccess()]).toEqual([false, true, false]);
  });
});
