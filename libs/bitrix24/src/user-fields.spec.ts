import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { clientOf, Peer } from '../test/peer.js';
import type { PortalClient } from './portal-client.js';
import { readUserFields } from './user-fields.js';

const described = (more: object = {}) => ({ type: 'string', title: 'A title', isMultiple: false, ...more });

describe('the user fields of a portal', () => {
  let peer: Peer;
  let client: PortalClient;

  beforeEach(async () => {
    peer = await Peer.start();
    client = clientOf(peer);
  });
  afterEach(() => peer.stop());

  const answer = (fields: unknown): void => {
    peer.answer = () => ({ body: { result: { fields } } });
  };

  it('are those that a portal adds, with the options of an enumeration', async () => {
    const items = [
      { ID: '81', VALUE: 'Red' },
      { ID: 82, VALUE: 7 },
    ];
    answer({
      title: described(),
      ufCrm44_1721812760630: described(),
      ufCrm_2: described({ type: 'enumeration', isMultiple: true, items }),
    });
    expect(await readUserFields(client, 147)).toEqual({
      fields: [
        { name: 'ufCrm44_1721812760630', type: 'string', title: 'A title', isMultiple: false, options: [] },
        {
          name: 'ufCrm_2',
          type: 'enumeration',
          title: 'A title',
          isMultiple: true,
          options: [
            { id: 81, text: 'Red' },
            { id: 82, text: '7' },
          ],
        },
      ],
      unreadable: 0,
    });
  });

  it('that are not as documented are counted, and hide no other', async () => {
    answer({
      'ufCrm_1;process.exit()': described(),
      ufCrm_2: 'nothing',
      ufCrm_3: described({ type: 'a b' }),
      ufCrm_4: described({ title: { a: 1 }, isMultiple: 'Y', items: [{ ID: '1e9' }, null] }),
      ufCrm_5: described({ title: 'x'.repeat(10_000) }),
    });
    const { fields, unreadable } = await readUserFields(client, 2);
    expect(unreadable).toBe(5);
    expect(fields).toMatchObject([
      { name: 'ufCrm_4', title: '', isMultiple: false, options: [] },
      { name: 'ufCrm_5', title: 'x'.repeat(255) },
    ]);
  });

  it('are limited in number', async () => {
    answer(Object.fromEntries(Array.from({ length: 800 }, (_, at) => [`ufCrm_${at}`, described()])));
    const { fields, unreadable } = await readUserFields(client, 2);
    expect([fields.length, unreadable]).toEqual([500, 300]);
  });

  it('are none where PHP writes an empty list', async () => {
    answer([]);
    expect(await readUserFields(client, 2)).toEqual({ fields: [], unreadable: 0 });
  });

  it.each([null, 'fields', {}, { fields: 5 }])('are not in %j', async (result) => {
    peer.answer = () => ({ body: { result } });
    await expect(readUserFields(client, 2)).rejects.toMatchObject({ code: 'BAD_ANSWER' });
  });
});
