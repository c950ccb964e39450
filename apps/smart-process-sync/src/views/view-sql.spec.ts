import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { viewNames } from './view-sql.js';

const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.stringMatching(/^[_.a-z0-9-]*$/));
const type = fc.record({
  memberId: text,
  domain: text,
  entityTypeId: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
  code: fc.option(text),
});

describe('the names of a view', () => {
  it('need no quotes and are not cut, whatever the portal is called', () => {
    fc.assert(
      fc.property(type, (one) => {
        const { preferred, numbered, own } = viewNames(one);
        for (const name of [preferred, numbered]) expect(name).toMatch(/^[a-z0-9][a-z0-9_]{0,62}$/);
        expect(own).toMatch(/^_[a-z0-9_]{0,45}_[0-9a-f]{16}$/);
      }),
    );
  });

  it('are told apart by the one of its own, also where the others are equal', () => {
    fc.assert(
      fc.property(type, text, (one, memberId) => {
        fc.pre(memberId !== one.memberId);
        const [first, second] = [viewNames(one), viewNames({ ...one, memberId })];
        expect(second.preferred).toBe(first.preferred);
        expect(second.own).not.toBe(first.own);
      }),
    );
  });
});
