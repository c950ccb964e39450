import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { asReceived, httpBody, type PhpValue } from '../test/http-build-query.js';
import { parseStrCases } from '../test/samples.js';
import { thrownBy } from '../test/thrown.js';

import { type FormValue, isTree } from './form-tree.js';
import { decodeForm, FormError, type FormLimits } from './form.js';

const decode = (body: string | Uint8Array, limits?: Partial<FormLimits>) =>
  decodeForm(typeof body === 'string' ? Buffer.from(body) : body, limits);

const failure = (body: string | Uint8Array, limits?: Partial<FormLimits>): unknown => {
  const error = thrownBy(() => decode(body, limits));
  return error instanceof FormError ? error.code : error;
};

const outcome = (body: Uint8Array, limits: Partial<FormLimits>): unknown =>
  failure(body, limits) ?? decode(body, limits);

/** A form of `count` pairs. */
const pairs = (count: number) => Array.from({ length: count }, (_, index) => `a${index}=1`).join('&');

/** A form of `count` arrays, in pairs of two. */
const arrays = (count: number) =>
  Array.from({ length: count / 2 }, (_, index) => `a${index}[x][y]=1`).join('&');

/** Every tree in a value, including itself. */
const trees = (value: FormValue): object[] =>
  isTree(value) ? [value, ...Object.values(value).flatMap(trees)] : [];

describe('decodeForm decodes as PHP does', () => {
  it.each(parseStrCases())('$body', ({ body, tree }) => {
    expect(decode(body)).toEqual(tree);
  });

  it('continues after a negative key as PHP does since 8.3', () => {
    expect(decode('a[-5]=x&a[]=y')).toEqual({ a: { '-5': 'x', '-4': 'y' } });
  });

  it('decodes an empty body as an empty form', () => {
    expect(decode('')).toEqual({});
  });

  it('reads only the view of a larger buffer', () => {
    expect(decode(Buffer.from('x=0&a=1&y=2').subarray(4, 7))).toEqual({ a: '1' });
  });

  it('joins raw and escaped bytes of one character', () => {
    expect(decode(Buffer.from('a=\xc3%A9+%C3\xa9', 'latin1'))).toEqual({ a: 'é é' });
  });
});

describe('decodeForm rejects', () => {
  it.each([
    ['a raw broken byte', Buffer.from([0x61, 0x3d, 0xff])],
    ['an escaped broken byte', 'a=%FF'],
    ['half a character', 'a=%E2%82'],
    ['an overlong slash', 'a=%C0%AF'],
    ['a surrogate', 'a=%ED%A0%80'],
    ['a broken name', '%FF=1'],
    ['a broken byte after a broken escape', 'a=%zz%FF'],
    ['a broken byte in a pair that PHP would drop', '=%FF'],
  ])('%s as invalid UTF-8', (_, body) => {
    expect(failure(body)).toBe('invalid-utf8');
  });

  it('more pairs than the maximum, and accepts the maximum', () => {
    expect(failure(pairs(1000))).toBeUndefined();
    expect(failure(pairs(1001))).toBe('too-many-pairs');
    expect(failure('a=1&a=2&a=3', { maxPairs: 2 })).toBe('too-many-pairs');
    expect(failure('&'.repeat(100_000))).toBe('too-many-pairs');
  });

  it('more levels than the maximum, and accepts the maximum', () => {
    expect(failure(`a${'[x]'.repeat(20)}=1`)).toBeUndefined();
    expect(failure(`a${'[x]'.repeat(21)}=1`)).toBe('too-deep');
    expect(failure('a[][]=1', { maxDepth: 1 })).toBe('too-deep');
  });

  it('more arrays than the maximum, and accepts the maximum', () => {
    expect(failure(arrays(2000))).toBeUndefined();
    expect(failure(`${arrays(1998)}&b[x][y][z]=1`)).toBe('too-many-arrays');
    expect(failure('a[x]=1&a[y]=1&a[z][x]=1', { maxArrays: 2 })).toBeUndefined();
    expect(failure('a[x]=1&b[x]=1&c[x]=1', { maxArrays: 2 })).toBe('too-many-arrays');
  });

  it('a name longer than the maximum, and accepts the maximum', () => {
    expect(failure(`${'%C3%A9'.repeat(512)}=1`)).toBeUndefined();
    expect(failure(`${'a'.repeat(513)}=1`)).toBe('key-too-long');
    expect(failure('abc=1', { maxKeyLength: 2 })).toBe('key-too-long');
  });

  it('without quoting the input', () => {
    for (const body of ['secret=%FF', `secret${'[secret]'.repeat(21)}=1`, `${'secret'.repeat(99)}=1`]) {
      expect(() => decode(body)).toThrow(
        expect.not.objectContaining({ message: expect.stringContaining('secret') }),
      );
    }
  });
});

/** Keys that PHP keeps, including those that are dangerous for an object with a prototype. */
const key = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 8 }).filter((text) => !/[\s[\].\0]/u.test(text)),
  fc.nat().map(String),
  fc.constantFrom('__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '-1', '007'),
);
const leaf = fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.boolean(), fc.constant(null));
const { form } = fc.letrec<{ value: PhpValue; form: { [key: string]: PhpValue } }>((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, leaf, fc.array(tie('value'), { maxLength: 4 }), tie('form')),
  form: fc.array(fc.tuple(key, tie('value')), { maxLength: 5 }).map((entries) => Object.fromEntries(entries)),
}));

describe('decodeForm, for any input', () => {
  it('inverts http_build_query', () => {
    fc.assert(
      fc.property(form, (sent) => {
        expect(decodeForm(httpBody(sent), { maxDepth: 100, maxPairs: 1e6 })).toEqual(asReceived(sent) ?? {});
      }),
    );
  });

  it('creates no tree with a prototype, and changes no prototype', () => {
    const before = Object.getOwnPropertyNames(Object.prototype);
    fc.assert(
      fc.property(form, (sent) => {
        for (const tree of trees(decodeForm(httpBody(sent)))) expect(Object.getPrototypeOf(tree)).toBeNull();
        expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
      }),
    );
  });

  const noise = fc
    .array(
      fc.oneof(
        fc.constantFrom(
          'a',
          '0',
          '[',
          ']',
          '[]',
          '=',
          '&',
          '+',
          ' ',
          '.',
          '%',
          '%5B',
          '%5D',
          '%00',
          '%FF',
          '__proto__',
        ),
        fc.string({ unit: 'binary', maxLength: 3 }),
      ),
    )
    .map((parts) => Buffer.from(parts.join('')));

  it.each([
    ['bytes', fc.uint8Array({ maxLength: 300 })],
    ['text that looks like a form', noise],
  ])('fails on %s with a FormError or not at all', (_, bytes) => {
    fc.assert(
      fc.property(bytes, (body) => {
        const error = thrownBy(() => decodeForm(body));
        expect(error === undefined || error instanceof FormError).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it('reads a cached name like the first time, within the limits of each call', () => {
    const limits = fc.record({
      maxDepth: fc.nat({ max: 3 }),
      maxKeyLength: fc.nat({ max: 20 }),
    });
    fc.assert(
      fc.property(noise, limits, (body, narrow) => {
        const first = [outcome(body, narrow), outcome(body, {})];
        // Evicts the cached names.
        for (let n = 0; n < 2; n += 1) decodeForm(Buffer.from(pairs(1_000).replaceAll('a', `k${n}`)));
        expect([outcome(body, narrow), outcome(body, {})]).toEqual(first);
        expect([outcome(body, narrow), outcome(body, {})]).toEqual(first);
      }),
      { numRuns: 100 },
    );
  });
});
