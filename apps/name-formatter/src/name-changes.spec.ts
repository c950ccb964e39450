import { describe, expect, it } from '@jest/globals';
import { findNameChanges } from './name-changes.js';

describe('findNameChanges', () => {
  it('names the fields that differ, with what they should be', () => {
    expect(findNameChanges({ id: 82, name: 'jOHN', secondName: 'Ronald', lastName: 'mcdonald' })).toEqual({
      name: 'John',
      lastName: 'McDonald',
    });
  });

  it('finds nothing in a contact that is well written', () => {
    expect(findNameChanges({ id: 82, name: 'John', secondName: '', lastName: null })).toBeUndefined();
  });

  it('formats each field by itself, so that a particle that opens the last name is a capital', () => {
    expect(findNameChanges({ id: 82, name: 'ludwig', lastName: 'van beethoven' })).toEqual({
      name: 'Ludwig',
      lastName: 'Van Beethoven',
    });
  });

  it('goes by the language and the setting of the portal', () => {
    const contact = { id: 82, name: 'ALİ', secondName: 'el', lastName: 'de la IŞIK' };
    expect(findNameChanges(contact, { language: 'tr', particles: 'capital' })).toEqual({
      name: 'Ali',
      secondName: 'El',
      lastName: 'De La Işık',
    });
  });

  it('looks only at fields that hold text', () => {
    expect(findNameChanges({ id: 82, name: 5, secondName: ['jOHN'] })).toBeUndefined();
  });

  it('leaves alone what a batch would replace by the result of another command', () => {
    expect(findNameChanges({ id: 82, name: '$result[read][items]', lastName: 'SMITH' })).toEqual({
      lastName: 'Smith',
    });
  });
});
