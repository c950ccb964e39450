import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { listOf } from './listing.js';

const names = listOf(z.object({ name: z.string() }));

describe('a list of a portal', () => {
  it('is parsed entry by entry', () => {
    expect(names.parse([{ name: 'a', more: 1 }, { name: 'b' }])).toEqual([{ name: 'a' }, { name: 'b' }]);
  });

  it.each([undefined, null, 'a', {}, { 0: { name: 'a' } }])('is not %j', (value) => {
    expect(names.safeParse(value).success).toBe(false);
  });

  it('with a million invalid entries has one issue, at the first of them', () => {
    const bad = names.safeParse([{ name: 'a' }, ...Array.from({ length: 1_000_000 }, () => 0)]);
    expect(bad.error?.issues.map(({ path }) => path)).toEqual([[1]]);
  });
});
