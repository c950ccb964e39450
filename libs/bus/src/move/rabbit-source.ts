import { waitAtMost } from '@relay/platform';
import type { Channel, ConsumeMessage } from 'amqplib';
import { z } from 'zod';
import { awaitReturn, browse } from '../rabbitmq/admin/browse.js';
import { AdminConnection } from '../rabbitmq/admin/admin-connection.js';
import { readDeadLetter } from '../rabbitmq/admin/rabbit-dead-letter-store.js';
import { queueDepths } from '../rabbitmq/admin/consumer-queues.js';
import { closeQuietly, connect } from '../rabbitmq/connection.js';
import { readRetryMetadata } from '../rabbitmq/retry-metadata.js';
import { deadQueue, retryName, shardQueue, UNROUTED_NAME } from '../rabbitmq/topology.js';
import { shardOf, shards } from '../contract/shard.js';
import { emptyResult, type MoveParts, type MoveResult, type MoveSource, type MoveTarget } from './moved.js';
import { isReadable } from './postgres-source.js';

/** Acknowledged one by one: the broker loses acks of a channel that closes with more than 32 of them in flight. */
const BATCH_SIZE = 16;
/** Messages that stay are ahead of the others and are read again with each batch. */
const MAX_STAYING = 1_000;
const MAX_STAYING_BYTES = 32 * 1024 * 1024;
const CLOSE_TIMEOUT_MS = 5_000;

const nothing = (): void => undefined;
const bytesOf = (messages: readonly ConsumeMessage[]): number =>
  messages.reduce((sum, { content }) => sum + content.byteLength, 0);

const codeHeader = z.object({ 'b24-code': z.string().optional().catch(undefined) }).catch({});
const memberIdIn = z.looseObject({ memberId: z.string() });

interface RabbitSourceOptions {
  /** PREVIOUS_AMQP_URL. */
  url: string;
  /** The bus in use, if it is RabbitMQ too. */
  amqpUrl: string | undefined;
  /** Needed because RabbitMQ cannot list its queues. */
  consumers: () => Promise<readonly string[]>;
  retryDelaysMs: readonly number[];
}

/** A RabbitMQ that was the bus in use before. */
export class RabbitSource implements MoveSource {
  readonly name = 'PREVIOUS_AMQP_URL';

  constructor(private readonly options: RabbitSourceOptions) {}

  async move(parts: MoveParts): Promise<MoveResult> {
    const { url, consumers, retryDelaysMs } = this.options;
    return AdminConnection.during(url, async (broker) => {
      const round = emptyResult();
      if (await this.isInUse(broker)) return round;
      // A message that the target rejects does not block the others.
      const failures: unknown[] = [];
      for (const consumer of await consumers()) {
        const { queues, shardsServed, waiting, retrying, dead } = await queueDepths(
          broker,
          consumer,
          retryDelaysMs,
        );
        if (queues === 0 || waiting + retrying + dead === 0) continue;
        if (shardsServed > 0) round.served.push(consumer);
        else
          await this.moveConsumer(broker, consumer, parts, round).catch((error: unknown) =>
            failures.push(error),
          );
      }
      await moveUnrouted(broker, parts, round);
      if (failures.length > 0) throw failures[0];
      return round;
    });
  }

  /**
   * Detects the same virtual host under another address, where moving would never end: an exclusive queue is visible
   * only in its own virtual host.
   */
  private async isInUse(broker: AdminConnection): Promise<boolean> {
    const { amqpUrl } = this.options;
    if (amqpUrl === undefined) return false;
    const queue = `b24.move.${crypto.randomUUID()}`;
    const inUse = await connect(amqpUrl, 'move', nothing, async (connection) => {
      const channel = await connection.createChannel();
      channel.on('error', nothing);
      await channel.assertQueue(queue, { exclusive: true, durable: false });
      return connection;
    });
    try {
      const answer = await broker.request((channel) => channel.checkQueue(queue));
      return answer.kind !== 'missing';
    } finally {
      await closeQuietly(inUse);
    }
  }

  private async moveConsumer(
    broker: AdminConnection,
    consumer: string,
    parts: MoveParts,
    round: MoveResult,
  ): Promise<void> {
    const target = await parts.openTarget(consumer);
    try {
      for (const shard of shards) {
        const move = (message: ConsumeMessage): Promise<boolean> => moveMessage(target, message, shard, 0);
        round.messages += await empty(broker, shardQueue(consumer, shard), parts, round, move);
      }
      for (const delayMs of this.options.retryDelaysMs) {
        const move = (message: ConsumeMessage): Promise<boolean> =>
          moveMessage(target, message, shardIn(consumer, message), delayMs);
        round.messages += await empty(broker, retryName(consumer, delayMs), parts, round, move);
      }
      round.letters += await empty(broker, deadQueue(consumer), parts, round, async (message) => {
        await target.deadLetter(readDeadLetter(consumer, message));
        return true;
      });
    } finally {
      await target.close();
    }
  }
}

async function moveMessage(
  target: MoveTarget,
  { content, properties }: ConsumeMessage,
  shard: number,
  tierMs: number,
): Promise<boolean> {
  const { attempts, firstFailedAt } = readRetryMetadata(properties.headers);
  // A message that has not failed since it entered the tier has no such time, and may be due at once.
  const failedAt = readDeadLetter('', { content, properties }).lastFailedAt ?? 0;
  await target.message({
    shard,
    content,
    attempts,
    firstFailedAt,
    code: codeHeader.parse(properties.headers ?? {})['b24-code'],
    dueInMs: Math.max(0, failedAt + tierMs - Date.now()),
  });
  return true;
}

/** It entered the tier with the name of its shard's queue as routing key. */
function shardIn(consumer: string, { fields, content }: ConsumeMessage): number {
  const named = shards.find((shard) => shardQueue(consumer, shard) === fields.routingKey);
  return named ?? shardOfContent(content);
}

/** Works also for a message that this version cannot read. */
function shardOfContent(content: Buffer): number {
  try {
    return shardOf(memberIdIn.parse(JSON.parse(content.toString())).memberId);
  } catch {
    return shardOf('');
  }
}

/**
 * A message that cannot be moved stays in its position and does not block those behind it.
 * @param move false: it stays without an error
 * @returns how many were moved
 * @throws the first rejection, after the others were moved
 */
async function empty(
  broker: AdminConnection,
  queue: string,
  { isOver }: Pick<MoveParts, 'isOver'>,
  round: MoveResult,
  move: (message: ConsumeMessage) => Promise<boolean>,
): Promise<number> {
  let moved = 0;
  let [staying, stayingBytes] = [0, 0];
  let failure: PromiseRejectedResult | undefined;
  for (;;) {
    const there = await broker.request((channel) => channel.checkQueue(queue));
    if (there.kind !== 'value' || there.value.messageCount <= staying || staying > MAX_STAYING) break;
    if (stayingBytes > MAX_STAYING_BYTES) break;
    if (isOver()) {
      round.done = false;
      break;
    }
    const batch = await moveBatch(broker, queue, staying + BATCH_SIZE, move);
    moved += batch.moved;
    [staying, stayingBytes] = [batch.staying, batch.stayingBytes];
    failure = batch.failure;
    if (batch.moved + batch.staying === 0) break;
  }
  if (failure) throw failure.reason;
  return moved;
}

interface MovedBatch {
  moved: number;
  /** Returned to their positions. */
  staying: number;
  stayingBytes: number;
  failure: PromiseRejectedResult | undefined;
}

/** Moves the oldest messages of the queue; unacknowledged ones return to their positions. */
async function moveBatch(
  broker: AdminConnection,
  queue: string,
  size: number,
  move: (message: ConsumeMessage) => Promise<boolean>,
): Promise<MovedBatch> {
  const channel: Channel = await broker.openChannel();
  let staying = 0;
  try {
    const messages: ConsumeMessage[] = [];
    await browse(channel, queue, size, (message) => {
      messages.push({ ...message, content: Buffer.from(message.content) });
    });
    const results = await Promise.allSettled(messages.map(move));
    const moved = messages.filter((_, index) => {
      const result = results[index];
      return result?.status === 'fulfilled' && result.value;
    });
    for (const message of moved) channel.ack(message);
    staying = messages.length - moved.length;
    return {
      moved: moved.length,
      staying,
      stayingBytes: bytesOf(messages) - bytesOf(moved),
      failure: results.find((result) => result.status === 'rejected'),
    };
  } finally {
    await waitAtMost(
      channel.close().catch(() => undefined),
      CLOSE_TIMEOUT_MS,
    );
    if (staying > 0) await awaitReturn(broker, queue, staying);
  }
}

/** Unreadable messages cannot be routed again. */
async function moveUnrouted(broker: AdminConnection, parts: MoveParts, round: MoveResult): Promise<void> {
  round.unrouted += await empty(broker, UNROUTED_NAME, parts, round, async ({ content }) => {
    if (!isReadable(content)) return false;
    await parts.publish(content);
    return true;
  });
}
