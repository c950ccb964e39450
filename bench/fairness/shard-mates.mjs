import { createHash } from 'node:crypto';
import { join } from 'node:path';

/** @param {number} count @param {(name: string) => boolean} isWanted */
export function* namesOf(count, isWanted) {
  for (let number = 1, made = 0; made < count; number += 1) {
    const name = `single-${number}`;
    if (!isWanted(name)) continue;
    made += 1;
    yield name;
  }
}

/** Tells by their names which portals travel through the same shard as that one. @param {string | undefined} memberId */
export async function shardMates(memberId) {
  if (memberId === undefined) throw new Error('shard mates need a flooded portal');
  const { shardOf } = await import(join(import.meta.dirname, '../../dist/libs/bus/src/contract/shard.js'));
  const shard = shardOf(memberId);
  return (/** @type {string} */ name) => shardOf(memberIdOf(name)) === shard;
}

/** As the simulator makes them of names (apps/portal-simulator/src/portal/portals.ts). @param {string} name */
function memberIdOf(name) {
  return createHash('md5').update(`portal of the simulator: ${name}`).digest('hex');
}
