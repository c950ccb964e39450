import { describe, expect, it } from '@jest/globals';
import { addressOf, parseRoute } from './address.js';

describe('the address of a view', () => {
  it.each([
    ['', '', {}],
    ['dead-letters', '', { consumer: 'names', error: 'a&b=c#d/е ?' }],
    ['portals', 'a/b?c#d%', { page: '3' }],
  ])('%s %s comes back as it was', (view, of, query) => {
    expect(parseRoute(addressOf(view, of, query))).toEqual({ view, of, query });
  });

  it('leaves out what is not filtered', () => {
    expect(addressOf('portals', '', { state: '', text: undefined })).toBe('#/portals');
  });

  it.each(['', '#', '#/', '#/%E0%A4%A', '#//x?%'])('%s is no error', (typed) => {
    expect(parseRoute(typed).view).toBe('');
  });
});
