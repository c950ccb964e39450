import { describe, expect, it } from '@jest/globals';
import { waitAtMost } from './async.js';

describe('a wait with a timeout', () => {
  it('returns the result of the work, or undefined on timeout', async () => {
    expect(await waitAtMost(Promise.resolve('done'), 1_000)).toBe('done');
    expect(await waitAtMost(new Promise(() => undefined), 1)).toBeUndefined();
    await expect(waitAtMost(Promise.reject(new Error('boom')), 1_000)).rejects.toThrow('boom');
  });
});
