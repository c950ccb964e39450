/**
 * A portal's events always use the same one of 16 shards, so one process at a time serves a portal. The count and the
 * hash are part of the stored data: with other values, waiting messages would be in the wrong shard.
 */
export const SHARD_COUNT = 16;

export const shards: readonly number[] = Array.from({ length: SHARD_COUNT }, (_, shard) => shard);

/** FNV-1a over UTF-8, both halves folded together because its low bits alone mix poorly. */
export function shardOf(memberId: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(memberId, 'utf8')) hash = Math.imul(hash ^ byte, 0x01000193);
  return ((hash >>> 16) ^ (hash & 0xffff)) % SHARD_COUNT;
}
