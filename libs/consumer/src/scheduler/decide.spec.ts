import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { decide, type Outcome } from './decide.js';
import { DEFAULT_RETRY_DELAYS_MS } from '@relay/bus';

const week = 7 * 24 * 3_600_000;
const rules = { retryDelaysMs: DEFAULT_RETRY_DELAYS_MS, holdMs: week };

const fresh = { attempts: 0, firstFailedAt: undefined };
const failed = (error: unknown): Outcome => ({ ok: false, error });
const decideFresh = (error: unknown) => decide(failed(error), fresh, rules);

describe('the outcome of a delivery', () => {
  it('is done when the handler succeeds', () => {
    expect(decide({ ok: true }, fresh, rules)).toEqual({ kind: 'done' });
  });

  it('retries an unclassified error', () => {
    for (const error of [new Error('boom'), 'boom', undefined, null, 7, {}, { recovery: 'perhaps' }]) {
      expect(decideFresh(error)).toEqual({ kind: 'retry', afterMs: 5_000 });
    }
  });

  it('waits longer with every failed attempt, and is dead after the last tier', () => {
    const decisions = [0, 1, 2, 3, 4, 5, 6].map((attempts) =>
      decide(failed(new Error('boom')), { attempts, firstFailedAt: 1 }, rules),
    );
    expect(decisions).toEqual([
      ...DEFAULT_RETRY_DELAYS_MS.map((afterMs) => ({ kind: 'retry', afterMs })),
      { kind: 'dead', reason: 'failed' },
    ]);
  });

  it('retries no sooner than the error asks', () => {
    expect(decideFresh({ recovery: 'retry', retryAfterMs: 60_000 })).toEqual({
      kind: 'retry',
      afterMs: 60_000,
    });
    expect(decideFresh({ recovery: 'retry', retryAfterMs: 10 })).toEqual({ kind: 'retry', afterMs: 5_000 });
  });

  it('waits for a limit without spending an attempt, however many there were', () => {
    const limit = failed({ code: 'QUERY_LIMIT_EXCEEDED', recovery: 'wait', retryAfterMs: 1_500 });
    const now = Date.now();
    expect(decide(limit, { attempts: 6, firstFailedAt: now }, rules, now)).toEqual({
      kind: 'wait',
      afterMs: 1_500,
    });
    expect(decideFresh({ recovery: 'wait' })).toEqual({ kind: 'wait', afterMs: 5_000 });
  });

  it('waits longer, up to ten minutes, for an error without a retry-after, the longer it lasts', () => {
    const now = Date.now();
    const after = (heldMs: number) =>
      decide(failed({ recovery: 'wait' }), { attempts: 0, firstFailedAt: now - heldMs }, rules, now);
    const waits = [-1_000, 60_000, 240_000, 1_200_000, 86_400_000].map(after);
    expect(waits).toEqual(
      [5_000, 30_000, 120_000, 600_000, 600_000].map((afterMs) => ({ kind: 'wait', afterMs })),
    );
  });

  it('waits for a portal that must be authorised again', () => {
    expect(decideFresh({ recovery: 'reauthorize' })).toEqual({ kind: 'wait', afterMs: 600_000 });
  });

  it('holds an event for a portal that cannot be called no longer than it may', () => {
    const now = Date.now();
    for (const recovery of ['wait', 'reauthorize']) {
      const after = (heldMs: number) =>
        decide(failed({ recovery }), { attempts: 0, firstFailedAt: now - heldMs }, rules, now);
      expect(after(week)).toEqual({ kind: 'dead', reason: 'hold-expired' });
      expect(after(week - 1)).toMatchObject({ kind: 'wait' });
    }
  });

  it('gives up at once on a permanent error', () => {
    expect(decideFresh({ code: 'ACCESS_DENIED', recovery: 'never' })).toEqual({
      kind: 'dead',
      reason: 'failed',
    });
  });

  it('handles any thrown value', () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true }), fc.nat(10), (error, attempts) => {
        expect(['retry', 'wait', 'dead']).toContain(
          decide(failed(error), { attempts, firstFailedAt: undefined }, rules).kind,
        );
      }),
    );
  });
});
