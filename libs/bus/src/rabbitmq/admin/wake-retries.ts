import type { Log } from '@relay/platform';
import type { ConsumeMessage } from 'amqplib';
import { eventIn } from '../../admin/dead-letter.js';
import { SCAN_LIMIT } from '../../admin/dead-letter-store.js';
import { BusUnavailableError } from '../../event-bus.js';
import { shardOf, shards } from '../../shard.js';
import type { ConfirmedPublisher } from '../confirmed-publisher.js';
import { retryName, shardQueue } from '../topology.js';
import { awaitReturn, browse } from './browse.js';
import type { AdminConnection } from './admin-connection.js';
import { openReplayPublisher } from './replay-publisher.js';

/** Half of what the broker lets be on its way. */
const ACK_GROUP = 16;
/** Their contents are in memory at once; what is beyond follows in the next round. */
const ROUND_MESSAGES = 10_000;
const ROUND_BYTES = 32 * 1024 * 1024;
/** All that one look sees. No more: at a portal that refuses again, what was woken comes back here. */
const MAX_ROUNDS = SCAN_LIMIT / ROUND_MESSAGES;
/** A tier's own time takes messages away during a look: then fewer come than were counted, and all others wait for its end. */
const IDLE_MS = 2_000;
/** So for those that were put back. */
const RETURN_MS = 1_000;

export interface WakeOptions {
  url: string;
  log: Log;
  retryDelaysMs: readonly number[];
  memberIds: ReadonlySet<string>;
}

/**
 * Brings what waits for these portals in a consumer's retry tiers back to its shard queues, with what is known of its
 * attempts: stored there before it is gone here. All others lie there afterwards as before. Whoever calls holds the operators' lock.
 * @returns how many were brought
 * @throws BusUnavailableError; what was not brought comes at its time
 */
export async function wakeRetries(
  broker: AdminConnection,
  consumer: string,
  options: WakeOptions,
): Promise<number> {
  let woken = 0;
  for (const delayMs of options.retryDelaysMs) {
    for (let rounds = 0; rounds < MAX_ROUNDS; rounds += 1) {
      const round = await wakeTier(broker, consumer, retryName(consumer, delayMs), options);
      woken += round.woken;
      if (!round.isFull) break;
    }
  }
  return woken;
}

interface Round {
  woken: number;
  /** There may be more. */
  isFull: boolean;
}

async function wakeTier(
  broker: AdminConnection,
  consumer: string,
  tier: string,
  { url, log, memberIds }: WakeOptions,
): Promise<Round> {
  const there = await broker.ask((asked) => asked.checkQueue(tier));
  if (there.kind === 'missing') return { woken: 0, isFull: false };
  if (there.kind !== 'value') throw new BusUnavailableError('BUS_REFUSED');
  if (there.value.messageCount === 0) return { woken: 0, isFull: false };
  const channel = await broker.openChannel();
  const meant: Wakened[] = [];
  let publisher: ConfirmedPublisher | undefined;
  let [found, woken, bytes] = [0, 0, 0];
  const isFull = (): boolean => meant.length >= ROUND_MESSAGES || bytes >= ROUND_BYTES;
  try {
    const see = (message: ConsumeMessage): void => {
      const memberId = eventIn(message.content)?.memberId;
      if (memberId === undefined || !memberIds.has(memberId) || isFull()) return;
      // A copy of the content: it is a view into a far larger buffer of the socket.
      const { fields, properties } = message;
      meant.push({ message: { fields, properties, content: Buffer.from(message.content) }, memberId });
      bytes += message.content.length;
    };
    const look = await browse(channel, tier, SCAN_LIMIT, see, IDLE_MS);
    ({ found } = look);
    if (look.more) log.warn({ consumer, tier }, 'more waits in a retry tier than one look takes');
    if (meant.length > 0) {
      const opened = (publisher = await openReplayPublisher(url, log));
      for (let at = 0; at < meant.length; at += ACK_GROUP) {
        const group = meant.slice(at, at + ACK_GROUP);
        await Promise.all(group.map((one) => publish(opened, consumer, one)));
        for (const { message } of group) channel.ack(message);
        // The broker forgets acks that are still on their way when the channel closes; this is answered after them.
        await channel.get(tier);
        woken += group.length;
      }
    }
  } finally {
    await publisher?.close();
    await channel.close().catch(() => undefined);
    await awaitReturn(broker, tier, found - woken, RETURN_MS);
  }
  return { woken, isFull: isFull() };
}

interface Wakened {
  message: ConsumeMessage;
  memberId: string;
}

async function publish(
  publisher: ConfirmedPublisher,
  consumer: string,
  { message, memberId }: Wakened,
): Promise<void> {
  const { content, properties, fields } = message;
  const { messageId, headers }: { messageId?: unknown; headers?: unknown } = properties;
  // What a tier's messages are routed by when their time is over; a person may have put in others.
  const isShardQueue = shards.some((shard) => shardQueue(consumer, shard) === fields.routingKey);
  await publisher.publish({
    exchange: '',
    routingKey: isShardQueue ? fields.routingKey : shardQueue(consumer, shardOf(memberId)),
    content,
    messageId: typeof messageId === 'string' ? messageId : undefined,
    headers: ownHeaders(headers),
  });
}

/** Not the broker's, which it makes anew. */
function ownHeaders(headers: unknown): Record<string, string | number> {
  const own: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(Object(headers))) {
    const isText = typeof value === 'string' || typeof value === 'number';
    if (isText && name.startsWith('b24-')) own[name] = value;
  }
  return own;
}
