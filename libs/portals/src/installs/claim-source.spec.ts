import { describe, expect, it } from '@jest/globals';
import { sourceOfPage } from './token-request-budget.js';

describe('the source of a page', () => {
  it.each([
    ['203.0.113.7', '::ffff:203.0.113.7'],
    ['2001:db8:1:2::1', '2001:0DB8:0001:0002:ffff:ffff:ffff:ffff'],
    ['2001:db8::1', '2001:db8:0:0:9::'],
    ['::1', '::2'],
  ])('is the same for %s and %s', (one, other) => {
    expect(sourceOfPage(one)).toBe(sourceOfPage(other));
  });

  it.each([
    ['203.0.113.7', '203.0.113.8'],
    ['2001:db8:1:2::1', '2001:db8:1:3::1'],
  ])('is another for %s and %s', (one, other) => {
    expect(sourceOfPage(one)).not.toBe(sourceOfPage(other));
  });
});
