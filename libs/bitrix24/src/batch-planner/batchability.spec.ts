import { describe, expect, it } from '@jest/globals';
import type { Command } from '../rest/batch.js';
import type { Params } from '../rest/query.js';
import { checkCallable, canBatch } from './execute-plan.js';

function command(params: Params, method = 'crm.item.update'): Command {
  return { method, params };
}

describe('a command', () => {
  it('can be batched with anything that a query string can represent', () => {
    const params = {
      id: 1,
      fields: { name: 'Ärger & Söhne #1 [x]=100%', tags: ['a', 'b'], empty: '', none: null },
    };
    expect(canBatch(command(params))).toBe(true);
    expect(canBatch({ method: 'user.current' })).toBe(true);
  });

  it.each<[string, Params]>([
    ['a reference', { name: '$result[a][b]' }],
    ['a reference deep inside, within a text, in another case', { a: { b: ['x', 'so $RESULT[a][b] far'] } }],
    ['an empty list', { tags: [] }],
    ['an empty object', { fields: {} }],
    ['a name with brackets', { 'a[b]': 1 }],
    ['a reference as a name', { '$result[a]': 1 }],
  ])('goes alone with %s', (_, params) => {
    expect(canBatch(command(params))).toBe(false);
    expect(() => checkCallable(command(params))).not.toThrow();
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('with the number %s is never sent', (price) => {
    expect(canBatch(command({ fields: { price } }))).toBe(false);
    expect(() => checkCallable(command({ fields: { price } }))).toThrow(TypeError);
  });

  it('with an invalid method name cannot be batched', () => {
    expect(canBatch(command({}, 'user.get?ID=1'))).toBe(false);
  });
});
