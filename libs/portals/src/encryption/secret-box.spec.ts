import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SecretBox, type SealContext } from './secret-box.js';

const k1 = { id: 'k1', key: randomBytes(32) };
const k2 = { id: 'k2', key: randomBytes(32) };
const here: SealContext = { memberId: 'm1', field: 'access_token' };
const text = fc.string({ unit: 'grapheme' });

describe('SecretBox', () => {
  it('opens what it sealed, whatever the text and the member', () => {
    const box = new SecretBox([k1]);
    fc.assert(
      fc.property(text, text, (secret, memberId) => {
        const context: SealContext = { memberId, field: 'refresh_token' };
        expect(box.open(box.seal(secret, context), context)).toBe(secret);
      }),
    );
  });

  it('does not open a text that was moved to another portal', () => {
    const box = new SecretBox([k1]);
    fc.assert(
      fc.property(text, text, text, (secret, from, to) => {
        fc.pre(from !== to);
        const sealed = box.seal(secret, { ...here, memberId: from });
        expect(() => box.open(sealed, { ...here, memberId: to })).toThrow(
          expect.objectContaining({ code: 'BROKEN_SEAL', memberId: to }),
        );
      }),
    );
  });

  it('does not open a text that was moved to another field', () => {
    const box = new SecretBox([k1]);
    const sealed = box.seal('secret', { memberId: 'm1', field: 'access_token' });
    expect(() => box.open(sealed, { memberId: 'm1', field: 'refresh_token' })).toThrow(
      expect.objectContaining({ code: 'BROKEN_SEAL' }),
    );
  });

  it('does not open a text of which any bit was changed or any end cut off', () => {
    const box = new SecretBox([k1]);
    const sealed = box.seal('a secret of some length', here);
    const [head, body] = [sealed.slice(0, 6), Buffer.from(sealed.slice(6), 'base64url')];
    const broken = expect.objectContaining({ code: 'BROKEN_SEAL' });
    fc.assert(
      fc.property(fc.nat(body.length - 1), fc.nat(7), (at, bit) => {
        const changed = Buffer.from(body);
        changed.writeUInt8(changed.readUInt8(at) ^ (1 << bit), at);
        expect(() => box.open(head + changed.toString('base64url'), here)).toThrow(broken);
      }),
    );
    fc.assert(
      fc.property(fc.nat(body.length - 1), (length) => {
        expect(() => box.open(head + body.subarray(0, length).toString('base64url'), here)).toThrow(broken);
      }),
    );
  });

  it('does not open arbitrary text, and says so with its own error', () => {
    const box = new SecretBox([k1]);
    fc.assert(
      fc.property(fc.string(), (anything) => {
        expect(() => box.open(anything, here)).toThrow(expect.objectContaining({ name: 'PortalError' }));
      }),
    );
  });

  it('never seals one text the same way twice', () => {
    const box = new SecretBox([k1]);
    const sealed = Array.from({ length: 100 }, () => box.seal('secret', here));
    expect(new Set(sealed).size).toBe(100);
  });

  it('seals with the first key and opens with any', () => {
    const sealedBefore = new SecretBox([k1]).seal('secret', here);
    const rotated = new SecretBox([k2, k1]);
    expect(rotated.open(sealedBefore, here)).toBe('secret');
    expect(rotated.seal('secret', here)).toMatch(/^v1:k2:/);
  });

  it('says which key is missing and what to do', () => {
    const sealed = new SecretBox([k1]).seal('secret', here);
    expect(() => new SecretBox([k2]).open(sealed, here)).toThrow(
      expect.objectContaining({
        code: 'UNKNOWN_KEY',
        recovery: 'wait',
        message: expect.stringMatching(/key "k1".*add that key to the end of TOKEN_KEYS/),
      }),
    );
  });

  it('does not trust a key id that was changed in the sealed text', () => {
    const twin = { id: 'twin', key: k1.key };
    const sealed = new SecretBox([k1]).seal('secret', here).replace('v1:k1:', 'v1:twin:');
    expect(() => new SecretBox([k1, twin]).open(sealed, here)).toThrow(
      expect.objectContaining({ code: 'BROKEN_SEAL' }),
    );
  });

  it('is not made without a proper key', () => {
    expect(() => new SecretBox([])).toThrow(RangeError);
    expect(() => new SecretBox([{ id: 'short', key: randomBytes(16) }])).toThrow(/short .* not 32 bytes/);
    expect(() => new SecretBox([{ id: 'a:b', key: k1.key }])).toThrow(RangeError);
  });
});
