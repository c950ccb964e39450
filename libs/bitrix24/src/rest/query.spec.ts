import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parsePhpQuery, type PhpValue } from '../../test/php-query.js';
import { encodeQuery, holdsReference, type ParamValue } from './query.js';

const innerKey = fc.string({ unit: 'grapheme', minLength: 1 }).filter((key) => !/[[\]\0]/.test(key));
const topKey = fc.stringMatching(/^[A-Za-z_]\w{0,10}$/);
const scalar: fc.Arbitrary<ParamValue> = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null),
);
const { value } = fc.letrec<{ value: ParamValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    scalar,
    fc.array(tie('value'), { minLength: 1, maxLength: 5 }),
    fc.dictionary(innerKey, tie('value'), { minKeys: 1, maxKeys: 5 }),
  ),
}));

/** The same parameters as PHP represents them after parsing a query. */
function asPhp(of: ParamValue): PhpValue {
  if (of === null || of === undefined) return '';
  if (typeof of === 'boolean') return of ? '1' : '0';
  if (typeof of !== 'object') return String(of);
  return new Map(Object.entries(of).map(([key, inner]: [string, ParamValue]) => [key, asPhp(inner)]));
}

describe('a query of a batch command', () => {
  it('is parsed by PHP as the original parameters', () => {
    fc.assert(
      fc.property(fc.dictionary(topKey, value), (params) => {
        expect(parsePhpQuery(encodeQuery(params))).toEqual(asPhp(params));
      }),
      { numRuns: 1000 },
    );
  });

  it('is encoded like http_build_query', () => {
    expect(
      decodeURIComponent(
        encodeQuery({
          entityTypeId: 3,
          filter: { '@id': [82, '83'], '!name': 'A&B' },
          select: ['id'],
          start: -1,
        }),
      ),
    ).toBe('entityTypeId=3&filter[@id][0]=82&filter[@id][1]=83&filter[!name]=A&B&select[0]=id&start=-1');
    expect(encodeQuery({ fields: { title: 'a=b&c d' } })).toBe('fields%5Btitle%5D=a%3Db%26c+d');
  });

  it('keeps references to earlier results unchanged', () => {
    const reference = '$result[list][items][49][id]';
    expect(parsePhpQuery(encodeQuery({ filter: { '>id': reference } }))).toEqual(
      new Map([['filter', new Map([['>id', reference]])]]),
    );
  });

  it('omits undefined values and clears null values', () => {
    expect(encodeQuery({ a: undefined, b: null, c: false, d: true, e: { f: undefined, g: 1 } })).toBe(
      'b=&c=0&d=1&e%5Bg%5D=1',
    );
    expect(encodeQuery({})).toBe('');
  });

  it.each<[string, ParamValue]>([
    ['an empty list', []],
    ['an empty object', {}],
    ['a list in which nothing is', [[]]],
    ['a number that is none', Number.NaN],
    ['infinity', Number.POSITIVE_INFINITY],
    ['a name with a bracket', { 'a]': 1 }],
    ['a name that is empty', { '': 1 }],
  ])('rejects %s, which would be lost or changed on the way', (_, given) => {
    expect(() => encodeQuery({ filter: given })).toThrow(TypeError);
  });

  it('encodes a lone surrogate as the replacement character', () => {
    expect(parsePhpQuery(encodeQuery({ a: 'x\ud800' }))).toEqual(new Map([['a', 'x\ufffd']]));
  });
});

describe('a text that a portal would replace inside a batch', () => {
  it.each(['$result[a][ID]', 'Smith $RESULT[0]', '$total[x]', 'x$error_description[a]', '$next.y[z]'])(
    'is recognised: %s',
    (text) => expect(holdsReference(text)).toBe(true),
  );
  it.each(['$result', 'result[a]', '$results are [good]', '$ 5', '$price[1]', ''])(
    'is not seen in: %s',
    (text) => expect(holdsReference(text)).toBe(false),
  );
});
