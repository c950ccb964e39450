import { describe, expect, it } from '@jest/globals';
import { toItem } from '@relay/bitrix24';
import { findContactChanges } from './name-changes.js';

describe('findContactChanges', () => {
  it('looks only at fields that hold text', () => {
    const contact = toItem('contact', { id: 82, name: 5, secondName: ['jOHN'], lastName: null });
    expect(findContactChanges(contact)).toBeUndefined();
  });

  it('leaves alone what a batch would replace by the result of another command', () => {
    expect(findContactChanges({ id: 82, name: '$result[read][items]', lastName: 'SMITH' })).toEqual({
      lastName: 'Smith',
    });
  });
});
