import { describe, expect, it } from '@jest/globals';
import { eventually } from '../../../../test/support/eventually.js';
import { collectGarbage } from '../../test/collect-garbage.js';
import { WeakValues } from './weak-values.js';

describe('WeakValues', () => {
  it('gives the same value to everybody while one keeps it, and makes another one afterwards', async () => {
    const values = new WeakValues<{ made: number }>();
    let made = 0;
    const get = (): { made: number } => values.getOrCreate('key', () => ({ made: (made += 1) }));
    const kept = get();
    collectGarbage();
    expect(get()).toBe(kept);
    expect(values.values()).toEqual([{ made: 1 }]);
    expect(kept.made).toBe(1);
  });

  it('keeps nothing of what nobody uses', async () => {
    const values = new WeakValues<object>();
    for (let key = 0; key < 1_000; key += 1) values.getOrCreate(String(key), () => ({}));
    const kept = values.getOrCreate('kept', () => ({}));
    await eventually(() => {
      collectGarbage();
      expect(values.size).toBe(1);
    });
    expect(values.getOrCreate('kept', () => ({}))).toBe(kept);
  });
});
