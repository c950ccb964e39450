import type { Log } from '@relay/platform';
import type { ConsumeMessage } from 'amqplib';
import { eventIn, SCAN_LIMIT } from '../../admin/dead-letter-store.js';
import { BusUnavailableError } from '../../contract/event-bus.js';
import { shardOf, shards } from '../../contract/shard.js';
import type { ConfirmedPublisher } from '../confirmed-publisher.js';
import { retryName, shardQueue } from '../topology.js';
import { awaitReturn, browse } from './browse.js';
import { openReplayPublisher, type AdminConnection } from './admin-connection.js';
import { z } from 'zod';
import { RetryCollector, type RetryFilter, type RetryList } from '../../admin/waiting-retries.js';
import { readRetryMetadata } from '../retry-metadata.js';

/**
 * The tier's TTL removes messages during a scan: then fewer arrive than were counted, and the rest is not waited for
 * any longer.
 */
const IDLE_MS = 2_000;
/** The same for messages that were requeued. */
const RETURN_MS = 1_000;

/** As `failureHeaders` and `deferralHeaders` write them; anybody may have put a message into the queue. */
const storedHeaders = z.object({
  'b24-code': z.string().optional().catch(undefined),
  'b24-last-failed-at': z.number().nonnegative().optional().catch(undefined),
});

/**
 * What waits in a consumer's retry tiers. The messages stay where they are, unacked for the time of the scan. The caller
 * holds the operator lock.
 * @throws BusUnavailableError
 */
export async function listRetries(
  broker: AdminConnection,
  consumer: string,
  retryDelaysMs: readonly number[],
  filter: RetryFilter,
): Promise<RetryList> {
  const found = new RetryCollector(consumer, filter);
  let isComplete = true;
  for (const delayMs of retryDelaysMs) {
    const tier = retryName(consumer, delayMs);
    const there = await broker.request((channel) => channel.checkQueue(tier));
    if (there.kind !== 'value' || there.value.messageCount === 0) continue;
    const channel = await broker.openChannel();
    let ready = 0;
    try {
      const scan = await browse(
        channel,
        tier,
        SCAN_LIMIT,
        ({ content, properties }) => {
          const read = storedHeaders.parse(properties.headers ?? {});
          const { attempts, firstFailedAt } = readRetryMetadata(properties.headers);
          const lastFailedAt = read['b24-last-failed-at'];
          const dueAt = lastFailedAt === undefined ? undefined : lastFailedAt + delayMs;
          found.add({ content, code: read['b24-code'], attempts, firstFailedAt, dueAt });
        },
        IDLE_MS,
      );
      ready = scan.found;
      isComplete &&= !scan.more;
    } finally {
      await channel.close().catch(() => undefined);
      await awaitReturn(broker, tier, ready, RETURN_MS);
    }
  }
  return found.result(isComplete);
}

/** Half of the 32 unconfirmed acks that the broker allows. */
const ACK_GROUP = 16;
/** The contents of a round are in memory at once; further messages follow in the next round. */
const ROUND_MESSAGES = 10_000;
const ROUND_BYTES = 32 * 1024 * 1024;
/** Everything that one scan covers. No more: at a portal that throttles again, woken messages return to the tiers. */
const MAX_ROUNDS = SCAN_LIMIT / ROUND_MESSAGES;

interface WakeOptions {
  url: string;
  log: Log;
  retryDelaysMs: readonly number[];
  memberIds: ReadonlySet<string>;
}

/**
 * Moves what waits for these portals from a consumer's retry tiers back to its shard queues, with its retry metadata:
 * stored there before it is acked here. All other messages stay unchanged. The caller holds the operator lock.
 * @returns how many were moved
 * @throws BusUnavailableError; messages that were not moved become due at their time
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
  const there = await broker.request((asked) => asked.checkQueue(tier));
  if (there.kind === 'missing') return { woken: 0, isFull: false };
  if (there.kind !== 'value') throw new BusUnavailableError('BUS_REFUSED');
  if (there.value.messageCount === 0) return { woken: 0, isFull: false };
  const channel = await broker.openChannel();
  const selected: SelectedRetry[] = [];
  let publisher: ConfirmedPublisher | undefined;
  let [found, woken, bytes] = [0, 0, 0];
  const isFull = (): boolean => selected.length >= ROUND_MESSAGES || bytes >= ROUND_BYTES;
  try {
    const see = (message: ConsumeMessage): void => {
      const memberId = eventIn(message.content)?.memberId;
      if (memberId === undefined || !memberIds.has(memberId) || isFull()) return;
      // Copies the content, which is a view into a far larger socket buffer.
      const { fields, properties } = message;
      selected.push({ message: { fields, properties, content: Buffer.from(message.content) }, memberId });
      bytes += message.content.length;
    };
    const scan = await browse(channel, tier, SCAN_LIMIT, see, IDLE_MS);
    ({ found } = scan);
    if (scan.more)
      log.warn(
        { event: 'bus.wake.incomplete', consumer, tier },
        'a retry tier holds more than one scan examines',
      );
    if (selected.length > 0) {
      const opened = (publisher = await openReplayPublisher(url, log));
      for (let at = 0; at < selected.length; at += ACK_GROUP) {
        const group = selected.slice(at, at + ACK_GROUP);
        await Promise.all(group.map((one) => publish(opened, consumer, one)));
        for (const { message } of group) channel.ack(message);
        // The broker drops acks that are still in flight when the channel closes; this get is answered after them.
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

interface SelectedRetry {
  message: ConsumeMessage;
  memberId: string;
}

async function publish(
  publisher: ConfirmedPublisher,
  consumer: string,
  { message, memberId }: SelectedRetry,
): Promise<void> {
  const { content, properties, fields } = message;
  const { messageId, headers }: { messageId?: unknown; headers?: unknown } = properties;
  // The routing key by which a tier's messages are dead-lettered; a person may have put in messages with other keys.
  const isShardQueue = shards.some((shard) => shardQueue(consumer, shard) === fields.routingKey);
  await publisher.publish({
    exchange: '',
    routingKey: isShardQueue ? fields.routingKey : shardQueue(consumer, shardOf(memberId)),
    content,
    messageId: typeof messageId === 'string' ? messageId : undefined,
    headers: ownHeaders(headers),
  });
}

/** Without the broker's own headers, which it sets again. */
function ownHeaders(headers: unknown): Record<string, string | number> {
  const own: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(Object(headers))) {
    const isText = typeof value === 'string' || typeof value === 'number';
    if (isText && name.startsWith('b24-')) own[name] = value;
  }
  return own;
}
