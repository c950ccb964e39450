import type { Log } from '@relay/platform';
import { setTimeout as sleep } from 'node:timers/promises';
import { BACKOFF } from '../connection/reconnector.js';
import type { Failure, Receipt } from '../contract/event-bus.js';
import { deadTotal, retriedTotal } from '../contract/instrumentation.js';
import { tierFor, tierName } from '../contract/retry-delays.js';
import type { ChannelAcks } from './channel-acks.js';
import type { ConfirmedPublisher, OutgoingMessage } from './confirmed-publisher.js';
import { deferralHeaders, failureHeaders, type RetryMetadata } from './retry-metadata.js';
import { deadQueue, retryName } from './topology.js';

/** Shared by all receipts of a consumption. */
export interface SettleContext {
  consumer: string;
  log: Log;
  retryDelaysMs: readonly number[];
  /** Retries and dead letters use a separate connection, so that a blocked publisher does not stop the acks. */
  publisher: ConfirmedPublisher;
}

type Copy = Pick<OutgoingMessage, 'content' | 'messageId' | 'headers'>;

interface UnackedMessage extends RetryMetadata {
  deliveryTag: number;
  deliveryCount: number;
  /** The shard queue. */
  queue: string;
  messageId: string | undefined;
  content: KeptContent;
}

/**
 * A small content as text of one byte a character: a Buffer takes an object beside it, and a part of a pool that is shared
 * with what was freed long ago. A flood is thousands of them (`npm run bench -- backlog`).
 */
export type KeptContent = string | Buffer;

/** Larger ones stay outside the heap. */
const MAX_TEXT_BYTES = 2_048;

/** Most messages are smaller: the prefetch bounds what they take. */
const SMALL_BYTES = 512;

/** Copies the content, a view into a far larger socket buffer that must not be held for hours. */
export function keepContent(content: Buffer): KeptContent {
  if (content.length <= MAX_TEXT_BYTES) return content.toString('latin1');
  const copy = Buffer.allocUnsafeSlow(content.length);
  content.copy(copy);
  return copy;
}

function bytesOf(content: KeptContent): Buffer {
  return typeof content === 'string' ? Buffer.from(content, 'latin1') : content;
}

/** Keeps the message as it arrived, undecoded: it may have to be republished to a retry tier or the dead letters. */
export class RabbitReceipt implements Receipt {
  private settled = false;

  constructor(
    private readonly context: SettleContext,
    /** Of the delivery: its tag is valid only there. */
    private readonly channel: Pick<ChannelAcks, 'ack' | 'open'>,
    private readonly message: UnackedMessage,
  ) {}

  get attempts(): number {
    return this.message.attempts;
  }
  get deliveryCount(): number {
    return this.message.deliveryCount;
  }
  get firstFailedAt(): number | undefined {
    return this.message.firstFailedAt;
  }
  get lost(): boolean {
    return !this.channel.open;
  }
  get heldBytes(): number {
    const { length } = this.message.content;
    return length > SMALL_BYTES ? length : 0;
  }

  async done(): Promise<void> {
    if (this.settle()) this.channel.ack(this.message.deliveryTag);
  }

  async retry(
    afterMs: number,
    failure: Failure,
    { countsAsAttempt = true }: { countsAsAttempt?: boolean } = {},
  ): Promise<void> {
    await this.scheduleRetry(afterMs, this.copy(failure, countsAsAttempt ? 1 : 0));
  }

  async defer(afterMs: number, code?: string): Promise<void> {
    const { content, messageId } = this.message;
    const headers = deferralHeaders(this.message, code);
    await this.scheduleRetry(afterMs, { content: bytesOf(content), messageId, headers });
  }

  async dead(failure: Failure): Promise<void> {
    if (!this.settle()) return;
    const { consumer, log } = this.context;
    const moved = await this.republish({
      exchange: '',
      routingKey: deadQueue(consumer),
      ...this.copy(failure, 1),
    });
    if (!moved) return;
    deadTotal.inc({ consumer });
    log.error(
      { event: 'bus.message.dead', consumer, messageId: this.message.messageId, failure },
      'a message became a dead letter',
    );
  }

  private async scheduleRetry(afterMs: number, copy: Copy): Promise<void> {
    if (!this.settle()) return;
    const { consumer, retryDelaysMs } = this.context;
    const delayMs = tierFor(afterMs, retryDelaysMs);
    const target = { exchange: retryName(consumer, delayMs), routingKey: this.message.queue, ...copy };
    if (await this.republish(target)) retriedTotal.inc({ consumer, tier: tierName(delayMs) });
  }

  /** A tag must not be acked twice: the broker would close the channel. */
  private settle(): boolean {
    if (this.settled || this.lost) return false;
    this.settled = true;
    return true;
  }

  private copy(failure: Failure, failedAttempts: number): Copy {
    const { attempts, firstFailedAt, content, messageId } = this.message;
    const metadata = { attempts: attempts + failedAttempts, firstFailedAt };
    const headers = failureHeaders(this.context.consumer, metadata, failure);
    return { content: bytesOf(content), messageId, headers };
  }

  /** The copy is stored before the original is acked: a crash in between duplicates the message and never loses it. */
  private async republish(target: OutgoingMessage): Promise<boolean> {
    for (let backoff = BACKOFF.next(); !this.lost; backoff = backoff.next(undefined)) {
      try {
        await this.context.publisher.publish(target);
        if (this.channel.open) this.channel.ack(this.message.deliveryTag);
        return true;
      } catch (error) {
        const { consumer, log } = this.context;
        // Thousands may fail at once; the lost or rejected connection is reported separately.
        log.debug({ consumer, err: error }, 'a failed message could not be moved; retrying');
        await sleep(backoff.duration, undefined, { ref: false });
      }
    }
    return false;
  }
}
