import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { sanitizeForPostgres } from './sanitize-for-postgres.js';

describe('a value sanitized for PostgreSQL', () => {
  it('leaves ordinary values as they are', () => {
    const fields = { id: 5, title: 'Order 😀', opened: true, ufCrm5_1: ['a', null], file: { id: 1.5 } };
    // The same object, not only an equal one: nothing is copied without need.
    expect(sanitizeForPostgres(fields)).toBe(fields);
  });

  it('replaces NUL characters and lone surrogates, in names of fields too', () => {
    expect(sanitizeForPostgres({ 'a\0': ['b\0c', '\uD83D!'] })).toEqual({
      'a\uFFFD': ['b\uFFFDc', '\uFFFD!'],
    });
  });

  it('changes nothing of what it was given', () => {
    const fields = fieldsToChange();
    expect(sanitizeForPostgres(fields)).toEqual({
      a: 'x',
      list: ['b\uFFFD', { 'c\uFFFD': 1, d: [null, 2] }],
      file: { id: 1, url: 'u' },
    });
    expect(fields).toEqual(fieldsToChange());
  });

  it('leaves out the address with credentials, wherever it is', () => {
    const file = { id: 1, url: 'u', urlMachine: 'm' };
    const kept = { id: 1, url: 'u' };
    expect(sanitizeForPostgres({ a: file, b: [file, [file]], urlMachine: 1 })).toEqual({
      a: kept,
      b: [kept, [kept]],
    });
  });

  it('makes of any JSON text one that has nothing to change any more', () => {
    const texts = fc.json({ stringUnit: 'binary', depthSize: 'large' });
    fc.assert(
      fc.property(texts, (json) => {
        const once = sanitizeForPostgres(JSON.parse(json));
        expect(sanitizeForPostgres(once)).toBe(once);
        expect(JSON.stringify(once)).not.toMatch(/\\u0000|\\ud[89a-f]/);
      }),
    );
  });

  it('looks at each level once, however deep the names are that it changes', () => {
    let deep: unknown = 'bottom';
    for (let i = 0; i < 45; i++) deep = { a: deep, 'b\0': 1, urlMachine: 2 };
    expect(JSON.stringify(sanitizeForPostgres(deep))).toContain('bottom');
  });

  it('cuts off what is nested too deeply', () => {
    let deep: unknown = 'bottom';
    for (let i = 0; i < 100_000; i++) deep = [deep];
    expect(JSON.stringify(sanitizeForPostgres({ kept: 1, deep }))).toMatch(
      /^\{"kept":1,"deep":\[+null\]+\}$/,
    );
  });
});

function fieldsToChange(): Record<string, unknown> {
  return {
    a: 'x',
    list: ['b\0', { 'c\0': 1, d: [Infinity, 2] }],
    file: { id: 1, url: 'u', urlMachine: 'm' },
  };
}
