import { describe, expect, it } from '@jest/globals';
import { storable } from './storable.js';

describe('storable', () => {
  it('leaves ordinary values as they are', () => {
    const fields = { id: 5, title: 'Order 😀', opened: true, ufCrm5_1: ['a', null], file: { id: 1.5 } };
    expect(storable(fields)).toEqual(fields);
  });

  it('replaces NUL characters and lone surrogates, in names of fields too', () => {
    expect(storable({ 'a\0': ['b\0c', '\uD83D!'] })).toEqual({ 'a\uFFFD': ['b\uFFFDc', '\uFFFD!'] });
  });

  it('cuts off what is nested too deeply', () => {
    let deep: unknown = 'bottom';
    for (let i = 0; i < 100_000; i++) deep = [deep];
    expect(JSON.stringify(storable({ kept: 1, deep }))).toMatch(/^\{"kept":1,"deep":\[+null\]+\}$/);
  });
});
