import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SHARD_COUNT, shardOf } from './shard.js';

describe('the shard of a portal', () => {
  it('never changes: messages are stored under it in queues and tables', () => {
    const known = [
      'a223c6b3710f85df22e9377d6c4f7553',
      'da45a03b265edd8787f8a258d793cc5d',
      'demo',
      '',
      'портал',
    ];
    expect(known.map(shardOf)).toEqual([1, 11, 11, 9, 4]);
  });

  it('is one of 16', () => {
    fc.assert(
      fc.property(fc.string(), (memberId) => {
        const shard = shardOf(memberId);
        expect(Number.isInteger(shard) && shard >= 0 && shard < SHARD_COUNT).toBe(true);
      }),
    );
  });

  it('spreads portals evenly', () => {
    const counts = Array.from({ length: SHARD_COUNT }, () => 0);
    for (let portal = 0; portal < 16_000; portal++) {
      const shard = shardOf(portal.toString(16).padStart(32, '0'));
      counts[shard] = (counts[shard] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(800);
    expect(Math.max(...counts)).toBeLessThan(1_200);
  });
});
