import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { thrownBy } from '../test/thrown.js';
import type { PortalEvent } from './event.js';
import { emptyTree, type FormTree, type FormValue, isTree } from './form-tree.js';
import { decodeMessage, encodeMessage, MessageError } from './message.js';

const tree = (entries: [string, FormValue][]): FormTree => {
  const made = emptyTree();
  for (const [key, value] of entries) made[key] = value;
  return made;
};

const key = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('__proto__', 'constructor', '0'));
const { data } = fc.letrec<{ value: FormValue; data: FormTree }>((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, fc.string({ unit: 'binary' }), tie('data')),
  data: fc.array(fc.tuple(key, tie('value')), { maxLength: 5 }).map(tree),
}));

const portalEvent: fc.Arbitrary<PortalEvent> = fc.record({
  id: fc.uuid(),
  memberId: fc.stringMatching(/^[0-9a-f]{32}$/),
  name: fc.constantFrom('ONCRMCONTACTADD', 'CATALOG.PRICE.ON.ADD'),
  entityTypeId: fc.nat(),
  entityId: fc.option(fc.string()),
  entity: fc.option(fc.string()),
  data,
  ts: fc.nat(),
  receivedAt: fc.maxSafeNat(),
  eventId: fc.option(fc.stringMatching(/^[!-~]{1,64}$/), { nil: undefined }),
  traceparent: fc.option(fc.stringMatching(/^00-[1-9a-f]{32}-[1-9a-f]{16}-0[01]$/), { nil: undefined }),
});

const event: PortalEvent = {
  id: 'b5f9c8a2-6a3e-4a0e-9b5e-0d6f3c1c2b3a',
  memberId: 'd897063e1ce7c5eb9f04b9751eef5915',
  name: 'ONCRMCONTACTADD',
  entityTypeId: 0,
  entityId: '82',
  entity: 'CRMCONTACT:82',
  data: tree([['FIELDS', tree([['ID', '82']])]]),
  ts: 1766047124,
  receivedAt: 1766047125250,
};

/** The message of `event` with some fields changed. */
const written = (change: object) => Buffer.from(JSON.stringify({ v: 1, ...event, ...change }));

const trees = (value: FormValue): object[] =>
  isTree(value) ? [value, ...Object.values(value).flatMap(trees)] : [];

describe('a message', () => {
  it('is versioned JSON', () => {
    expect(JSON.parse(encodeMessage(event).toString())).toEqual({ v: 1, ...event });
  });

  it('is decoded as it was encoded', () => {
    fc.assert(
      fc.property(portalEvent, (sent) => {
        const received = decodeMessage(encodeMessage(sent));
        expect(received).toEqual(sent);
        for (const part of trees(received.data)) expect(Object.getPrototypeOf(part)).toBeNull();
      }),
    );
  });

  it('contains the fields of a PortalEvent only', () => {
    const strayed = { ...event, credentials: { accessToken: 'secret' } };
    expect(encodeMessage(strayed).toString()).not.toContain('secret');
  });

  it('may contain fields that a later writer adds', () => {
    expect(decodeMessage(written({ later: 'field' }))).toEqual(event);
  });

  it.each([undefined, '', 7, 'a b', 'x'.repeat(65), ['1']])(
    'is read without an eventId that is %j',
    (eventId) => {
      expect(decodeMessage(written({ eventId }))).toEqual(event);
    },
  );

  it.each([
    ['none, as an older gateway writes it', undefined],
    ['one of a later version', '01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'],
    ['ids of zeros', `00-${'0'.repeat(32)}-${'0'.repeat(16)}-01`],
    ['no hexadecimal digits', '00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01'],
    ['more than a traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\nx'],
    ['a number', 7],
  ])('is read without its trace when that is %s', (_what, traceparent) => {
    expect(decodeMessage(written({ traceparent }))).toEqual(event);
  });
});

describe('decodeMessage rejects', () => {
  it.each([
    ['no JSON', Buffer.from('secret'), 'not-json'],
    ['nothing', Buffer.from(''), 'not-json'],
    ['broken UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'not-json'],
    ['a text', Buffer.from('"secret"'), 'malformed'],
    ['null', Buffer.from('null'), 'malformed'],
    ['a list', Buffer.from('[]'), 'malformed'],
    ['no version', written({ v: undefined }), 'malformed'],
    ['a later version', written({ v: 2 }), 'unknown-version'],
    ['a version that never was', written({ v: 0 }), 'malformed'],
    ['a version that is no number', written({ v: '2' }), 'malformed'],
    ['half a version', written({ v: 1.5 }), 'malformed'],
    ['no id', written({ id: undefined }), 'malformed'],
    ['a strange member', written({ memberId: 'secret #' }), 'malformed'],
    ['a strange name', written({ name: 'SECRET #' }), 'malformed'],
    ['a type that is no integer', written({ entityTypeId: 1.5 }), 'malformed'],
    ['no data', written({ data: undefined }), 'malformed'],
    ['a list for data', written({ data: ['secret'] }), 'malformed'],
    ['a number in data', written({ data: { FIELDS: { ID: 82 } } }), 'malformed'],
    ['data without a bottom', Buffer.from(`{"v":1,"data":${'{"a":'.repeat(50_000)}`), 'not-json'],
  ])('%s', (_, content, code) => {
    expect(() => decodeMessage(content)).toThrow(expect.objectContaining({ name: 'MessageError', code }));
    expect(() => decodeMessage(content)).toThrow(
      expect.not.objectContaining({ message: expect.stringMatching(/secret/i) }),
    );
  });

  it('data that is nested too deep', () => {
    const deep = `${'{"a":'.repeat(5000)}"x"${'}'.repeat(5000)}`;
    const content = encodeMessage({ ...event, data: emptyTree() })
      .toString()
      .replace('"data":{}', `"data":${deep}`);
    expect(() => decodeMessage(Buffer.from(content))).toThrow(expect.objectContaining({ code: 'malformed' }));
  });

  it('any bytes with MessageError only', () => {
    const content = fc.oneof(
      fc.uint8Array(),
      fc.json().map((json) => Buffer.from(json)),
      fc.object().map((change) => written(change)),
    );
    fc.assert(
      fc.property(content, (bytes) => {
        const error = thrownBy(() => decodeMessage(bytes));
        expect(error === undefined || error instanceof MessageError).toBe(true);
      }),
    );
  });
});
