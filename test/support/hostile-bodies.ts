/**
 * Bodies that a stranger can post to the gateway without any secret, by shape. Each has about the size that is asked for,
 * and is made to be expensive in one way; none is an install that anybody could confirm.
 */

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export type Random = () => number;
type Shape = (size: number, random: Random) => string;

const MAX_PAIRS = 1_000;

function pick<T>(random: Random, [first, ...rest]: readonly [T, ...T[]]): T {
  return [first, ...rest][Math.floor(random() * (rest.length + 1))] ?? first;
}

/** `text` again and again, cut at `size`. */
function filled(size: number, text: string): string {
  return text.repeat(Math.ceil(Math.max(0, size) / text.length)).slice(0, Math.max(0, size));
}

/** As many pairs as fit in `size`, and as a form may have. */
function pairs(
  size: number,
  pair: (index: number, length: number) => string,
  count = MAX_PAIRS - 20,
): string {
  const length = Math.max(4, Math.floor(size / count) - 1);
  return Array.from({ length: Math.min(count, Math.ceil(size / (length + 1))) }, (_, index) =>
    pair(index, length).slice(0, length),
  ).join('&');
}

const stranger = {
  'auth[domain]': 'some-domain.bitrix24.com',
  'auth[member_id]': 'd897063e1ce7c5eb9f04b9751eef5915',
  'auth[application_token]': '0123456789abcdef0123456789abcdef',
};

/** An event of a portal that nobody knows, which gets as far as the question whether it is proved. */
function eventWith(more: string, changes: Record<string, string> = {}): string {
  const fields = { event: 'ONCRMCONTACTUPDATE', ts: '1724697689', ...stranger, ...changes };
  const head = Object.entries(fields).map(([name, value]) => `${name}=${value}`);
  return [...head, more].join('&');
}

function ordinaryText(size: number, random: Random): string {
  const word = (): string =>
    pick(random, ['Anna', 'order', 'was', '%D0%90%D0%BD%D0%BD%D0%B0', '82', 'caf%C3%A9', '%26', 'the']);
  let body = '';
  while (body.length < size) body += `${word()}+`;
  return body
    .slice(0, size)
    .replace(/%[\dA-F]?$/, '')
    .replace(/(?:%[CD][\dA-F])+$/, '');
}

/** What an event with much to say looks like, such as a chat message: the measure of all others. */
export const plainBody: Shape = (size, random) => {
  const count = Math.max(1, Math.min(900, Math.round(size / 300)));
  const length = Math.floor(size / count) - 40;
  return eventWith(
    Array.from(
      { length: count },
      (_, index) => `data%5BPARAMS%5D%5B${index}%5D%5BMESSAGE%5D=${ordinaryText(length, random)}`,
    ).join('&'),
  );
};

export const hostileShapes: Readonly<Record<string, Shape>> = {
  'a token of any length, and values made of its letters': (size) =>
    eventWith(`data[A]=${filled(size / 2, 'a')}`, { 'auth[application_token]': filled(size / 2, 'a') }),
  'an access token of 32,000 letters, and values that nearly hold it': (size) =>
    eventWith(`data[A]=${filled(size - 32_000, 'a')}`, {
      'auth[access_token]': `b${filled(Math.min(32_000, size / 2), 'a')}`,
    }),
  'tokens that end as the values do, in many values': (size) =>
    eventWith(
      pairs(size, (index, length) => `data[${index}]=${filled(length, 'a')}`, 900),
      {
        'auth[access_token]': `b${filled(511, 'a')}`,
        'auth[refresh_token]': `c${filled(511, 'a')}`,
      },
    ),
  'one long value': (size) => eventWith(`data[A]=${filled(size, 'x')}`),
  'escaped letters': (size) => eventWith(`data[A]=${filled(size, '%41')}`),
  'escaped letters of two bytes': (size) => eventWith(`data[A]=${filled(size - (size % 6), '%D0%90')}`),
  'escaped letters of four bytes': (size) =>
    eventWith(`data[A]=${filled(size - (size % 12), '%F0%9F%98%80')}`),
  'escapes that are none': (size) => eventWith(`data[A]=${filled(size, '%zz')}`),
  'half an escape': (size) => eventWith(`data[A]=${filled(size, '%')}`),
  'escaped NULs': (size) => eventWith(`data[A]=${filled(size, '%00')}`),
  'bytes that are no UTF-8': (size) => eventWith(`data[A]=${filled(size, '\xff\xfe')}`),
  'raw UTF-8': (size) => eventWith(`data[A]=${filled(size - (size % 2), '\xd0\x90')}`),
  spaces: (size) => eventWith(`data[A]=${filled(size, '+')}`),
  'one long name': (size) => eventWith(`${filled(size, 'n')}=1`),
  'one long escaped name': (size) => eventWith(`${filled(size, '%5B')}=1`),
  'names as long as they may be': (size) =>
    eventWith(pairs(size, (index, length) => `${index}${filled(Math.min(length - 6, 500), 'n')}=1`)),
  'names of nothing but brackets': (size) =>
    eventWith(pairs(size, (_, length) => `a${filled(Math.min(length - 4, 500), '[')}=1`)),
  'names that close what they never opened': (size) =>
    eventWith(pairs(size, (_, length) => `a${filled(Math.min(length - 4, 500), ']')}=1`)),
  'names of dots and spaces': (size) =>
    eventWith(pairs(size, (_, length) => `a${filled(Math.min(length - 4, 500), '. ')}=1`)),
  'nests as deep as they may be': (size) =>
    eventWith(pairs(size, (index) => `data${`[${index}]`.repeat(19)}=1`)),
  'nests too deep': (size) => eventWith(pairs(size, () => `data${'[x]'.repeat(40)}=1`)),
  'appended values': (size) => eventWith(pairs(size, (_, length) => `data[]=${filled(length - 7, 'x')}`)),
  'appended lists': (size) => eventWith(pairs(size, () => `data[][][][][]=1`)),
  'the largest of all keys, and one more': (size) =>
    eventWith(
      pairs(size, (index) => (index % 2 === 0 ? `data[${2n ** 62n + BigInt(index)}]=1` : 'data[]=1')),
    ),
  'one name again and again': (size) =>
    eventWith(pairs(size, (_, length) => `data=${filled(length - 5, 'x')}`)),
  'a value that becomes a list and a value again': (size) =>
    eventWith(pairs(size, (index) => (index % 2 === 0 ? 'data[A][B][C]=1' : 'data[A]=1'))),
  'names of prototypes': (size, random) =>
    eventWith(
      pairs(size, () => `data[${pick(random, ['__proto__', 'constructor', 'prototype', 'toString'])}][x]=1`),
    ),
  'pairs without end': (size) => filled(size, 'a=1&'),
  'pairs of nothing': (size) => filled(size, '&'),
  'signs of equality': (size) => eventWith(`data[A]${filled(size, '=')}`),
  'no sign of equality': (size) => eventWith(filled(size, 'data&')),
  'an event name of any length': (size) => eventWith('', { event: `ON${filled(size, 'A.')}` }),
  'a member of any length': (size) => eventWith('', { 'auth[member_id]': filled(size, '-') }),
  'a domain of any length': (size) => eventWith('', { 'auth[domain]': filled(size, 'a.') }),
  'a moment of any length': (size) => eventWith('', { ts: filled(size, '9') }),
  'a lifetime of any length': (size) => eventWith('', { 'auth[expires_in]': filled(size, '9') }),
  'a lifetime of spaces': (size) => eventWith('', { 'auth[expires_in]': `${filled(size, '+')}x` }),
  'an address of any length': (size) =>
    eventWith('', { 'auth[server_endpoint]': `https://${filled(size, 'a.')}` }),
  'an id of any length': (size) => eventWith('', { 'data[FIELDS][ID]': filled(size, '7') }),
  'another type of item': (size) =>
    eventWith(`data[FIELDS][ENTITY_TYPE_ID]=${filled(size, '1')}`, { event: 'ONCRMDYNAMICITEMADD' }),
  'lists where a text should be': (size) =>
    eventWith(pairs(size, (_, length) => `auth[application_token][${filled(length - 28, 'x')}]=1`)),
  'random bytes': (size, random) =>
    Array.from({ length: Math.max(0, Math.floor(size)) }, () => String.fromCharCode(random() * 256)).join(''),
  'signs that mean something': (size, random) => {
    const signs = [
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
      'auth[',
      'data[',
    ] as const;
    let body = '';
    while (body.length < size) body += pick(random, signs);
    return eventWith(body.slice(0, Math.max(0, size)));
  },
};

/** As bytes: what the shapes write is one letter a byte. */
export function bytesOf(body: string): Buffer {
  return Buffer.from(body, 'latin1');
}
