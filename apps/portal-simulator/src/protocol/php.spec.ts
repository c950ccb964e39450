import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { decodeForm, encodeForm, phpArray, type Values } from './php.js';

const scalar = fc.string();
const key = fc.stringMatching(/^[A-Za-z_@><=!%][\w@><=!%-]{0,8}$/);
const tree = fc.letrec<{ node: Values }>((tie) => ({
  node: fc.dictionary(key, fc.oneof({ maxDepth: 3 }, scalar, tie('node')), {
    minKeys: 1,
    maxKeys: 4,
    noNullPrototype: true,
  }),
})).node;

describe('forms as PHP reads and writes them', () => {
  it('decodes what it encoded', () => {
    fc.assert(
      fc.property(tree, (values) => {
        expect(plain(decodeForm(encodeForm(values)))).toEqual(plain(values));
      }),
    );
  });

  it('writes as http_build_query does', () => {
    expect(
      encodeForm({
        event: 'ON X',
        data: { FIELDS: { ID: 7, NAME: "O'Neil*~" } },
        none: null,
        list: ['a', true],
      }),
    ).toBe(
      'event=ON+X&data%5BFIELDS%5D%5BID%5D=7&data%5BFIELDS%5D%5BNAME%5D=O%27Neil%2A%7E&list%5B0%5D=a&list%5B1%5D=1',
    );
  });

  it.each([
    ['a=1&a=2', { a: '2' }],
    ['a[]=x&a[]=y', { a: { 0: 'x', 1: 'y' } }],
    ['a[5]=x&a[]=y', { a: { 5: 'x', 6: 'y' } }],
    ['a%5Bb%5D=1', { a: { b: '1' } }],
    ['a[b]=1&a=2', { a: '2' }],
    ['filter[>id]=5', { filter: { '>id': '5' } }],
    ['a.b=1&c d=2', { a_b: '1', c_d: '2' }],
    ['a=%ZZ&flag', { a: '%ZZ', flag: '' }],
    ['=1&&[x]=2', {}],
  ])('reads %s as parse_str does', (form, wanted) => {
    expect(plain(decodeForm(form))).toEqual(wanted);
  });

  it('takes __proto__ for a key like any other', () => {
    const decoded = decodeForm('__proto__[polluted]=1');
    expect(Object.keys(decoded)).toEqual(['__proto__']);
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });
});

describe('a PHP array as JSON', () => {
  it('is [] when empty, a list for 0, 1, 2 … in order, else an object', () => {
    const shown = [[], ['0', '1'], ['1', '0'], ['a'], ['0', '2']].map((keys) =>
      JSON.stringify(phpArray(keys.map((one) => [one, one]))),
    );
    expect(shown).toEqual(['[]', '["0","1"]', '{"0":"0","1":"1"}', '{"a":"a"}', '{"0":"0","2":"2"}']);
  });
});

function plain(values: Values): unknown {
  return JSON.parse(JSON.stringify(values));
}
