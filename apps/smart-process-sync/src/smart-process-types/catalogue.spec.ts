import { describe, expect, it } from '@jest/globals';
import type { PortalClient } from '@relay/bitrix24';
import fc from 'fast-check';
import { listTypes } from './catalogue.js';
import { LeftOut, readFields } from './field.js';

const good = { type: 'string', title: 'Note', upperName: 'UF_CRM_5_1', isMultiple: false };

describe('the fields of a type', () => {
  it.each([
    ['SQL', { "a') OR true --": good }],
    ['no letter', { '': good }],
    ['too many letters', { ['x'.repeat(65)]: good }],
    ['other letters', { поле: good }],
    ['half of a surrogate pair', { 'a\ud800': good }],
    ['NUL', { 'a\0': good }],
    ['a line break', { 'a\n': good }],
    ['SQL as its other name', { ufCrm5_2: { ...good, upperName: "UF'" } }],
    ['nothing behind it', { ufCrm5_2: null }],
  ])('are without the one that is named by %s, which is counted', (_, bad) => {
    const leftOut = new LeftOut();
    const fields = readFields({ fields: { ...bad, ufCrm5_1: good } }, leftOut);
    expect(fields.map(({ name }) => name)).toEqual(['ufCrm5_1']);
    expect([leftOut.counts, leftOut.examples.length]).toEqual([{ types: 0, fields: 1, options: 0 }, 1]);
  });

  it.each([[{}], [{ upperName: null }], [{ upperName: '' }]])(
    'are called by the one name alone, with %j',
    (more) => {
      const fields = readFields({ fields: { assignedById: { type: 'user', ...more } } });
      expect(fields).toMatchObject([{ name: 'assignedById', upperName: 'ASSIGNED_BY_ID', type: 'user' }]);
    },
  );

  it('are without options that are none, which are counted', () => {
    const leftOut = new LeftOut();
    const ids = ['1', 2, '03', '4\0', '5 ', '6e0', null, '__proto__', -7, '8'.repeat(19)];
    const items = [...ids.map((ID) => ({ ID, VALUE: `option ${String(ID)}` })), null, { ID: 9 }];
    const [field] = readFields({ fields: { ufCrm5_1: { ...good, type: 'enumeration', items } } }, leftOut);
    expect(field?.texts).toEqual({ 1: 'option 1', 2: 'option 2' });
    expect(leftOut.counts).toEqual({ types: 0, fields: 0, options: 10 });
  });

  it('are no more than a view takes', () => {
    const leftOut = new LeftOut();
    const many = Object.fromEntries(Array.from({ length: 100_000 }, (_, at) => [`f${at}`, good]));
    expect(readFields({ fields: many }, leftOut)).toHaveLength(1_500);
    expect(leftOut.counts.fields).toBe(98_500);
  });

  it('can be stored, whatever the portal says of them', () => {
    const anything = fc.dictionary(fc.string({ unit: 'binary' }), fc.anything({ maxDepth: 2 }));
    fc.assert(
      fc.property(anything, (fields) => {
        const text = JSON.stringify(readFields({ fields }));
        expect(text).not.toMatch(/\\u0000|\\ud[89a-f]/);
      }),
    );
  });
});

function portalWith(types: unknown[]): PortalClient {
  const client: Pick<PortalClient, 'call'> = { call: () => Promise.resolve({ result: { types } }) };
  return Object.assign(Object.create(null), client);
}

describe('the types of a portal', () => {
  it('are without those that are none, which are counted', async () => {
    const ids = [null, 0, -1, 1.5, 2 ** 31, '2e2', '0x93', true, [147], {}, '9'.repeat(400), undefined];
    const leftOut = new LeftOut();
    const types = [
      ...ids.map((entityTypeId) => ({ entityTypeId, title: 'bad', code: 'BAD' })),
      null,
      'type',
      { entityTypeId: '150', title: 'a\0b\ud800', code: '\udfff' },
      { entityTypeId: 2 ** 31 - 1, title: { not: 'a text' }, code: ['x'] },
    ];
    expect(await listTypes(portalWith(types), leftOut)).toEqual([
      { entityTypeId: 150, title: 'ab\ufffd', code: '\ufffd' },
      { entityTypeId: 2 ** 31 - 1, title: '', code: null },
    ]);
    expect(leftOut.counts).toEqual({ types: ids.length + 2, fields: 0, options: 0 });
  });
});
