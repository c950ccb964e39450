import { deferred } from '@relay/platform';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel, ConsumeMessage } from 'amqplib';
import type { AdminConnection } from './admin-connection.js';

/**
 * After this time without a message, the rest was taken elsewhere, for example in the management UI. A broker under
 * load takes seconds before it delivers the first of many.
 */
const DEFAULT_IDLE_MS = 15_000;

/**
 * Passes the queue's messages to `see` in order, at most `limit`, while they stay unacked: unacked messages return to
 * their positions when the channel closes. `see` decides at once whether it needs a message later; the content of
 * every other one is released, so that a long queue does not fill the memory.
 *
 * `found` messages were ready at the start. Every scan adds one to a message's delivery count, whose limit is a
 * million.
 * @throws amqplib's error with code 404 when the queue does not exist
 */
export async function browse(
  channel: Channel,
  queue: string,
  limit: number,
  see: (message: ConsumeMessage) => void,
  idleMs = DEFAULT_IDLE_MS,
): Promise<{ examined: number; more: boolean; found: number }> {
  const { messageCount } = await channel.checkQueue(queue);
  const expected = Math.min(messageCount, limit);
  if (expected === 0) return { examined: 0, more: false, found: 0 };
  const end = deferred<void>();
  let examined = 0;
  let idle: NodeJS.Timeout | undefined;
  const rearm = (): void => {
    clearTimeout(idle);
    idle = setTimeout(() => end.resolve(), idleMs);
  };
  const take = (message: ConsumeMessage | null): void => {
    if (!message) {
      end.reject(new Error(`The broker ended the scan of ${queue}`));
      return;
    }
    if (examined >= expected) return;
    examined += 1;
    see(message);
    if (examined === expected) end.resolve();
    else rearm();
  };
  const closed = (): void => end.reject(new Error(`The channel was closed during the scan of ${queue}`));
  channel.on('close', closed);
  try {
    await channel.prefetch(expected);
    rearm();
    await channel.consume(queue, take);
    await end.promise;
    return { examined, more: messageCount > examined, found: messageCount };
  } finally {
    clearTimeout(idle);
    channel.off('close', closed);
  }
}

const DEFAULT_RETURN_MS = 15_000;
const POLL_MS = 50;

/**
 * The broker requeues a closed channel's messages asynchronously, after it has confirmed the close: a scan before that
 * finds an empty queue. Resolves when at least `count` messages are ready again, or on timeout.
 */
export async function awaitReturn(
  broker: AdminConnection,
  queue: string,
  count: number,
  timeoutMs = DEFAULT_RETURN_MS,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline) {
    const answer = await broker.request((channel) => channel.checkQueue(queue));
    if (answer.kind !== 'value' || answer.value.messageCount >= count) return;
    await sleep(POLL_MS);
  }
}
