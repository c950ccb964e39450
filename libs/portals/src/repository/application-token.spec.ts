import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { hasApplicationToken, hashApplicationToken } from './application-token.js';

const token = fc.string({ minLength: 1 });

describe('application tokens', () => {
  it('lets in exactly the tokens that the portal has', () => {
    fc.assert(
      fc.property(fc.array(token), token, (known, offered) => {
        const portal = { tokenHashes: known.map(hashApplicationToken) };
        expect(hasApplicationToken(portal, offered)).toBe(known.includes(offered));
      }),
    );
  });

  it('lets nobody in with an empty token, nor stores one', () => {
    expect(hasApplicationToken({ tokenHashes: [hashApplicationToken('t')] }, '')).toBe(false);
    expect(() => hashApplicationToken('')).toThrow(RangeError);
  });

  it('lets nobody in where the portal has no token', () => {
    expect(hasApplicationToken({ tokenHashes: [] }, 'token')).toBe(false);
  });
});
