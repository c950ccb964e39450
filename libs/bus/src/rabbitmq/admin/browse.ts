import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel, ConsumeMessage } from 'amqplib';
import { deferred } from '../../deferred.js';
import type { AdminConnection } from './admin-connection.js';

/**
 * Somebody else took what was counted, by the management page say: then it is not waited for any longer. A broker under
 * load takes seconds before it hands out the first of many.
 */
const DEFAULT_IDLE_MS = 15_000;

/**
 * Shows the queue's messages in their order, at most `limit`, while they stay unsettled: those that nobody acks are
 * back in their places when the channel closes. `see` says at once whether it needs a message later; the content of every
 * other one is let go, so that a long queue does not fill the memory.
 *
 * `found` messages were ready when it began. Every look adds one to a message's delivery count, of which it may have a million.
 * @throws amqplib's error with code 404 when there is no such queue
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
      end.reject(new Error(`The broker ended the look at ${queue}`));
      return;
    }
    if (examined >= expected) return;
    examined += 1;
    see(message);
    if (examined === expected) end.resolve();
    else rearm();
  };
  const closed = (): void => end.reject(new Error(`The channel was closed during the look at ${queue}`));
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
 * The broker puts back what a closed channel held when it comes to it, after it has said that the channel is closed:
 * who looks before that finds an empty queue. Resolves when at least `count` messages are ready again, or after a while.
 */
export async function awaitReturn(
  broker: AdminConnection,
  queue: string,
  count: number,
  timeoutMs = DEFAULT_RETURN_MS,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline) {
    const answer = await broker.ask((channel) => channel.checkQueue(queue));
    if (answer.kind !== 'value' || answer.value.messageCount >= count) return;
    await sleep(POLL_MS);
  }
}
