import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { shards } from '../contract/shard.js';
import { priorityOf } from './consumption.js';

const replicas = fc.uniqueArray(fc.uuid(), { minLength: 2, maxLength: 6 });

function ownerOf(shard: number, among: readonly string[]): string | undefined {
  return among.toSorted((a, b) => priorityOf(b, shard) - priorityOf(a, shard))[0];
}

describe('rendezvous priorities', () => {
  it('are valid AMQP priorities, the same at each reconnect', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.constantFrom(...shards), (replica, shard) => {
        const priority = priorityOf(replica, shard);
        expect(Number.isInteger(priority) && priority >= 0 && priority < 65_536).toBe(true);
        expect(priorityOf(replica, shard)).toBe(priority);
      }),
    );
  });

  it('move no shard but those of the replica that leaves', () => {
    fc.assert(
      fc.property(replicas, (all) => {
        const [gone, ...left] = all;
        const kept = shards.filter((shard) => ownerOf(shard, all) !== gone);
        expect(kept.map((shard) => ownerOf(shard, left))).toEqual(kept.map((shard) => ownerOf(shard, all)));
      }),
    );
  });

  it('distribute shards among the replicas', () => {
    const three = ['a', 'b', 'c'];
    const owners = Array.from({ length: 3_000 }, (_, shard) => ownerOf(shard, three));
    for (const replica of three) {
      const part = owners.filter((owner) => owner === replica).length;
      expect(part).toBeGreaterThan(850);
      expect(part).toBeLessThan(1_150);
    }
  });
});
