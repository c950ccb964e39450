import { createHash } from 'node:crypto';

/**
 * The priority with which a replica subscribes to a shard's queue. RabbitMQ 4 serves a queue with a single active
 * consumer through the subscriber of the highest priority, so replicas share the shards without communicating, and
 * only the shards of a replica that joins or leaves move (rendezvous hashing). RabbitMQ 3 keeps the first subscriber;
 * the priorities then only decide who takes over.
 *
 * @returns 0 to 65,535
 */
export function priorityOf(replica: string, shard: number): number {
  return createHash('sha256').update(`${replica}/${shard}`).digest().readUInt16BE();
}
