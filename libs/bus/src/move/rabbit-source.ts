import type { Channel, ConsumeMessage } from 'amqplib';
import { z } from 'zod';
import { waitAtMost } from '../backoff.js';
import { browse } from '../rabbitmq/care/browse.js';
import { CareConnection } from '../rabbitmq/care/care-connection.js';
import { readLetter } from '../rabbitmq/care/letter-headers.js';
import { queueDepths } from '../rabbitmq/care/queue-look.js';
import { closeQuietly, connect } from '../rabbitmq/connection.js';
import { readTrail } from '../rabbitmq/headers.js';
import { deadQueue, retryName, shardQueue, unroutedName } from '../rabbitmq/topology.js';
import { shardOf, shards } from '../shard.js';
import { emptyRound, type MoveParts, type MoveRound, type MoveSource, type MoveTarget } from './moved.js';
import { isReadable } from './postgres-source.js';

/** Acknowledged one by one: the broker forgets acks of a channel that closes with more than 32 of them under way. */
const LOT = 16;
const CLOSE_TIMEOUT_MS = 5_000;

const nothing = (): void => undefined;

const codeHeader = z.object({ 'b24-code': z.string().optional().catch(undefined) }).catch({});
const memberIdIn = z.looseObject({ memberId: z.string() });

export interface RabbitSourceOptions {
  /** PREVIOUS_AMQP_URL. */
  url: string;
  /** Of the bus in use, where that is RabbitMQ too. */
  amqpUrl: string | undefined;
  /** RabbitMQ cannot list its queues. */
  consumers: () => Promise<readonly string[]>;
  retryDelaysMs: readonly number[];
}

/** A RabbitMQ that was the bus in use before. */
export class RabbitSource implements MoveSource {
  readonly name = 'PREVIOUS_AMQP_URL';

  constructor(private readonly options: RabbitSourceOptions) {}

  async round(parts: MoveParts): Promise<MoveRound> {
    const { url, consumers, retryDelaysMs } = this.options;
    return CareConnection.during(url, async (broker) => {
      const round = emptyRound();
      if (await this.#isInUse(broker)) return round;
      // One that the other bus does not take keeps none of the others back.
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
          await this.#moveConsumer(broker, consumer, parts, round).catch((error: unknown) =>
            failures.push(error),
          );
      }
      await moveUnrouted(broker, parts, round);
      if (failures.length > 0) throw failures[0];
      return round;
    });
  }

  /** The same virtual host, by whatever name: moving would never end. An exclusive queue is seen in its own alone. */
  async #isInUse(broker: CareConnection): Promise<boolean> {
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
      const answer = await broker.ask((channel) => channel.checkQueue(queue));
      return answer.kind !== 'missing';
    } finally {
      await closeQuietly(inUse);
    }
  }

  async #moveConsumer(
    broker: CareConnection,
    consumer: string,
    parts: MoveParts,
    round: MoveRound,
  ): Promise<void> {
    const target = await parts.openTarget(consumer);
    try {
      for (const shard of shards) {
        const move = (message: ConsumeMessage): Promise<void> => moveMessage(target, message, shard, 0);
        round.messages += await empty(broker, shardQueue(consumer, shard), parts, round, move);
      }
      for (const delayMs of this.options.retryDelaysMs) {
        const move = (message: ConsumeMessage): Promise<void> =>
          moveMessage(target, message, shardIn(consumer, message), delayMs);
        round.messages += await empty(broker, retryName(consumer, delayMs), parts, round, move);
      }
      round.letters += await empty(broker, deadQueue(consumer), parts, round, (message) =>
        target.letter(readLetter(consumer, message)),
      );
    } finally {
      await target.close();
    }
  }
}

function moveMessage(
  target: MoveTarget,
  { content, properties }: ConsumeMessage,
  shard: number,
  tierMs: number,
): Promise<void> {
  const { attempts, firstFailedAt } = readTrail(properties.headers);
  // One that has not failed since it was put there has no such time, and may as well come at once.
  const failedAt = readLetter('', { content, properties }).lastFailedAt ?? 0;
  return target.message({
    shard,
    content,
    attempts,
    firstFailedAt,
    code: codeHeader.parse(properties.headers ?? {})['b24-code'],
    dueInMs: Math.max(0, failedAt + tierMs - Date.now()),
  });
}

/** It went into the tier with the name of its shard's queue. */
function shardIn(consumer: string, { fields, content }: ConsumeMessage): number {
  const named = shards.find((shard) => shardQueue(consumer, shard) === fields.routingKey);
  return named ?? shardOfContent(content);
}

/** Also of a message that this version cannot read. */
function shardOfContent(content: Buffer): number {
  try {
    return shardOf(memberIdIn.parse(JSON.parse(content.toString())).memberId);
  } catch {
    return shardOf('');
  }
}

/** @returns how many were moved */
async function empty(
  broker: CareConnection,
  queue: string,
  { isOver }: Pick<MoveParts, 'isOver'>,
  round: MoveRound,
  move: (message: ConsumeMessage) => Promise<void>,
): Promise<number> {
  let moved = 0;
  for (;;) {
    const there = await broker.ask((channel) => channel.checkQueue(queue));
    if (there.kind !== 'value' || there.value.messageCount === 0) return moved;
    if (isOver()) {
      round.done = false;
      return moved;
    }
    const movedNow = await moveLot(broker, queue, move);
    moved += movedNow;
    if (movedNow === 0) return moved;
  }
}

/** The oldest of the queue; what is not acknowledged goes back to its place. */
async function moveLot(
  broker: CareConnection,
  queue: string,
  move: (message: ConsumeMessage) => Promise<void>,
): Promise<number> {
  const channel: Channel = await broker.openChannel();
  try {
    const messages: ConsumeMessage[] = [];
    await browse(channel, queue, LOT, (message) => {
      messages.push({ ...message, content: Buffer.from(message.content) });
    });
    await Promise.all(messages.map(move));
    for (const message of messages) channel.ack(message);
    return messages.length;
  } finally {
    await waitAtMost(
      channel.close().catch(() => undefined),
      CLOSE_TIMEOUT_MS,
    );
  }
}

/** What cannot be read cannot be routed anew: it stays, and what lies behind it comes when that one is gone. */
async function moveUnrouted(broker: CareConnection, parts: MoveParts, round: MoveRound): Promise<void> {
  for (;;) {
    const there = await broker.ask((channel) => channel.checkQueue(unroutedName));
    if (there.kind !== 'value' || there.value.messageCount === 0) return;
    if (parts.isOver()) {
      round.done = false;
      return;
    }
    let moved = 0;
    const channel = await broker.openChannel();
    try {
      const readable: ConsumeMessage[] = [];
      await browse(channel, unroutedName, LOT, (message) => {
        if (isReadable(message.content)) readable.push({ ...message, content: Buffer.from(message.content) });
      });
      await Promise.all(readable.map(({ content }) => parts.publish(content)));
      for (const message of readable) channel.ack(message);
      moved = readable.length;
    } finally {
      await waitAtMost(
        channel.close().catch(() => undefined),
        CLOSE_TIMEOUT_MS,
      );
    }
    round.unrouted += moved;
    if (moved === 0) return;
  }
}
