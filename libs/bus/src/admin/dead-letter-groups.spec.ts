import { describe, expect, it } from '@jest/globals';
import { DeadLetterGrouping } from './dead-letter-groups.js';
import type { DeadLetterSummary } from './dead-letter-store.js';

const letter: DeadLetterSummary = {
  id: '1',
  consumer: 'names',
  code: 'FAILED',
  message: 'No',
  attempts: 1,
  firstFailedAt: undefined,
  lastFailedAt: undefined,
  memberId: null,
  event: null,
  entity: null,
  receivedAt: undefined,
};

describe('dead letters by cause', () => {
  it('count what cannot be read, and what has no time', () => {
    const grouping = new DeadLetterGrouping('names');
    grouping.add(letter);
    expect(grouping.result(true)).toEqual({
      groups: [
        {
          consumer: 'names',
          code: 'FAILED',
          message: 'No',
          letters: 1,
          portals: [{ memberId: null, letters: 1 }],
          portalCount: 1,
          events: [{ event: null, letters: 1 }],
          firstDiedAt: null,
          lastDiedAt: null,
        },
      ],
      matching: 1,
      complete: true,
      countedAt: expect.any(Date),
    });
  });

  it('have the message of the last one that died, without secrets', () => {
    const grouping = new DeadLetterGrouping('names');
    grouping.add({ ...letter, message: 'new, auth=0123456789abcdef0123456789abcdef', lastFailedAt: 2_000 });
    grouping.add({ ...letter, message: 'old', lastFailedAt: 1_000 });
    const [group] = grouping.result(true).groups;
    expect(group?.message).toMatch(/^new/);
    expect(group?.message).not.toContain('0123456789abcdef');
    expect([group?.firstDiedAt, group?.lastDiedAt]).toEqual([new Date(1_000), new Date(2_000)]);
  });

  it('are bounded, however many causes there are, and say so', () => {
    const grouping = new DeadLetterGrouping('names');
    for (let code = 0; code < 1_000; code += 1) grouping.add({ ...letter, code: `FAILED_${code}` });
    const { groups, matching, complete } = grouping.result(true);
    expect([groups.length, matching, complete]).toEqual([200, 1_000, false]);
  });

  it('are those that are left, also of causes beyond the first ones', () => {
    const grouping = new DeadLetterGrouping('names');
    const [one, other] = ['a'.repeat(32), 'b'.repeat(32)];
    const letters = [
      { ...letter, memberId: one, event: 'ONCRMCONTACTADD' },
      { ...letter, memberId: one, event: 'ONCRMCONTACTUPDATE' },
      { ...letter, memberId: other, event: 'ONCRMCONTACTUPDATE' },
    ];
    for (const each of letters) grouping.add(each);
    for (const each of letters.slice(1)) grouping.remove(each);
    expect(grouping.result(true)).toMatchObject({
      matching: 1,
      groups: [
        {
          letters: 1,
          portals: [{ memberId: one, letters: 1 }],
          portalCount: 1,
          events: [{ event: 'ONCRMCONTACTADD', letters: 1 }],
        },
      ],
    });
    for (const each of letters.slice(0, 1)) grouping.remove(each);
    expect(grouping.result(true)).toMatchObject({ matching: 0, groups: [] });
    const codes = Array.from({ length: 300 }, (_, code) => ({ ...letter, code: `FAILED_${code}` }));
    for (const each of codes) grouping.add(each);
    for (const each of codes) grouping.remove(each);
    expect(grouping.result(true)).toMatchObject({ matching: 0, complete: true });
  });
});
