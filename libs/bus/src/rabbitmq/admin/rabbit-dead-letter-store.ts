import { createHash } from 'node:crypto';
import { deferred, waitAtMost, type Log } from '@relay/platform';
import type { Channel, ConsumeMessage } from 'amqplib';
import { z } from 'zod';
import {
  eventIn,
  NoSuchConsumerError,
  SCAN_LIMIT,
  type DeadLetterPlace,
  type DeadLetterReader,
  type DeadLetterRecord,
  type DeadLetterStore,
  type DeadLetterSelector,
  type ScanResult,
} from '../../admin/dead-letter-store.js';
import { BusUnavailableError } from '../../contract/event-bus.js';
import { shardOf } from '../../contract/shard.js';
import type { ConfirmedPublisher } from '../confirmed-publisher.js';
import { deadQueue, shardQueue } from '../topology.js';
import { AdminConnection, openReplayPublisher } from './admin-connection.js';
import { awaitReturn, browse } from './browse.js';

/** Half of the 32 unconfirmed acks that the broker allows. */
const ACK_GROUP = 16;

/**
 * The queue `b24.<consumer>.dead`, read by consuming without acks: closing the channel requeues everything in place.
 */
export class RabbitDeadLetterStore implements DeadLetterStore {
  readonly inPlace = undefined;
  private readonly scanning = new Map<string, RabbitDeadLetterReader>();

  constructor(
    private readonly url: string,
    private readonly log: Log,
  ) {}

  countToRead(consumer: string): Promise<number> {
    return AdminConnection.during(this.url, (broker) => countLetters(broker, consumer));
  }

  /** In windows, so that the broker need not give all letters at once. */
  async scan(
    consumer: string,
    see: (letter: DeadLetterRecord) => void,
    rest?: () => Promise<boolean>,
  ): Promise<ScanResult> {
    const reader = await this.open(
      consumer,
      (letter) => {
        see(letter);
        return false;
      },
      rest,
    );
    this.scanning.set(consumer, reader);
    try {
      let found = 'not yet';
      while (found === 'not yet') found = await reader.find(performance.now() + MAX_SILENCE_MS);
      return { more: !reader.complete };
    } finally {
      await reader.close();
      this.scanning.delete(consumer);
    }
  }

  unacknowledged(consumer: string): number {
    return this.scanning.get(consumer)?.unacknowledged ?? 0;
  }

  /** Takes all letters of a scan nevertheless: on RabbitMQ 3 a part of them would return behind the others. */
  async read(
    consumer: string,
    { after }: DeadLetterPlace,
    see: (letter: DeadLetterRecord) => boolean,
  ): Promise<ScanResult> {
    let [hasBegun, isStopped, isCut] = [after === undefined, false, false];
    const { more } = await this.pass(consumer, (message) => {
      if (isStopped) {
        isCut = true;
        return false;
      }
      const letter = readDeadLetter(consumer, message);
      if (hasBegun) isStopped = !see(letter);
      else hasBegun = letter.id === after;
      return false;
    });
    // From the oldest one on, since the letter before is no longer there.
    return hasBegun ? { more: more || isCut } : this.read(consumer, {}, see);
  }

  async drop(consumer: string, selects: DeadLetterSelector): Promise<ScanResult & { dropped: number }> {
    return this.pass(consumer, (message) => selects(readDeadLetter(consumer, message)));
  }

  openReader(consumer: string, selects: DeadLetterSelector): Promise<DeadLetterReader> {
    return this.open(consumer, selects);
  }

  private async open(
    consumer: string,
    selects: DeadLetterSelector,
    rest?: () => Promise<boolean>,
  ): Promise<RabbitDeadLetterReader> {
    const broker = new AdminConnection(this.url);
    try {
      const expected = await countLetters(broker, consumer);
      const openPublisher = (): Promise<ConfirmedPublisher> => openReplayPublisher(this.url, this.log);
      const reader = new RabbitDeadLetterReader({ broker, consumer, selects, expected, openPublisher, rest });
      await reader.start();
      return reader;
    } catch (error) {
      await broker.close();
      throw error;
    }
  }

  /** Deletes the selected ones. */
  private async pass(
    consumer: string,
    selects: (message: ConsumeMessage) => boolean,
  ): Promise<ScanResult & { dropped: number }> {
    return AdminConnection.during(this.url, async (broker) => {
      const queue = deadQueue(consumer);
      await countLetters(broker, consumer);
      const channel = await broker.openChannel();
      const selected: ConsumeMessage[] = [];
      let [found, dropped] = [0, 0];
      try {
        const scan = await browse(channel, queue, SCAN_LIMIT, (message) => {
          // Without the content, so that many fit in memory.
          if (selects(message)) selected.push({ ...message, content: Buffer.alloc(0) });
        });
        ({ found } = scan);
        for (const message of selected) {
          channel.ack(message);
          dropped += 1;
          if (dropped % ACK_GROUP === 0) await flushAcks(channel, queue);
        }
        if (dropped > 0) await flushAcks(channel, queue);
        return { more: scan.more, dropped };
      } finally {
        // Before the connection, whose close would overtake the last acks.
        await channel.close().catch(() => undefined);
        await awaitReturn(broker, queue, found - dropped);
      }
    });
  }
}

async function countLetters(broker: AdminConnection, consumer: string): Promise<number> {
  const answer = await broker.request((channel) => channel.checkQueue(deadQueue(consumer)));
  if (answer.kind === 'missing') throw new NoSuchConsumerError(consumer);
  if (answer.kind !== 'value') throw new BusUnavailableError('BUS_REFUSED');
  return answer.value.messageCount;
}

/**
 * The broker delays acks when more than 32 of one channel are in flight to a quorum queue, and drops those when the
 * channel closes: the dead letters would come back. A `basic.get` is answered after everything that was sent before it.
 */
async function flushAcks(channel: Channel, queue: string): Promise<void> {
  await channel.get(queue);
}

/** Dead letters whose contents may be in memory at once. */
const WINDOW_LETTERS = 1_000;
const MAX_BYTES = 32 * 1024 * 1024;
/** After this time without a letter, the rest was taken elsewhere, for example in the management UI. */
const MAX_SILENCE_MS = 15_000;
const CLOSE_TIMEOUT_MS = 30_000;

export interface RabbitReaderOptions {
  /** Closed with the reader. */
  broker: AdminConnection;
  consumer: string;
  selects: DeadLetterSelector;
  /** Dead letters in the queue: later ones are not examined. */
  expected: number;
  openPublisher: () => Promise<ConfirmedPublisher>;
  /** Before each window but the first; false: no more letters are taken. */
  rest?: (() => Promise<boolean>) | undefined;
}

/** A consumer of the queue on its own channel. */
interface Window {
  readonly channel: Channel;
  readonly tag: string;
  /** Dead letters that it holds unacknowledged. */
  held: number;
  /** Of these, dead letters that stay. */
  staying: number;
}

interface SelectedMessage {
  message: ConsumeMessage;
  window: Window;
}

/**
 * Takes each letter once. A match is acknowledged when the consumer's queue has stored it; every other letter stays
 * unacknowledged, without its content, until the reader closes. The prefetch bounds the contents in memory. When all
 * of a window's dead letters stay, the next window reads on: so a window is a stretch of the queue, and the dead letters that
 * stay return in their order when the windows close one after the other. A crash returns all of them at once: nothing
 * is lost, and at most the letter whose acknowledgement was on its way is replayed twice.
 */
class RabbitDeadLetterReader implements DeadLetterReader {
  private readonly queue: string;
  private readonly windows: Window[] = [];
  private readonly selected: SelectedMessage[] = [];
  private bytes = 0;
  private examined = 0;
  private staying = 0;
  private expected: number;
  private isFull = false;
  private failure: Error | undefined;
  private publisher: ConfirmedPublisher | undefined;
  private opening: Promise<void> = Promise.resolve();
  private lastTakenAt = performance.now();
  private changed = deferred<void>();
  complete = true;

  constructor(private readonly options: RabbitReaderOptions) {
    this.queue = deadQueue(options.consumer);
    this.expected = options.expected;
  }

  get unacknowledged(): number {
    return this.windows.reduce((sum, window) => sum + window.held, 0);
  }

  get isLost(): boolean {
    return this.failure !== undefined;
  }

  async start(): Promise<void> {
    if (this.expected > 0) await this.openWindow();
  }

  async find(deadline: number): Promise<'found' | 'end' | 'not yet' | 'reopen'> {
    for (;;) {
      if (this.failure) throw new BusUnavailableError('BUS_DOWN', { cause: this.failure });
      if (this.selected.length > 0) return 'found';
      if (this.examined >= this.expected) return this.isFull ? 'reopen' : 'end';
      const now = performance.now();
      const silentUntil = this.lastTakenAt + MAX_SILENCE_MS;
      if (now >= silentUntil) this.expected = this.examined;
      else if (now >= deadline) return 'not yet';
      else await waitAtMost(this.changed.promise, Math.min(deadline, silentUntil) - now);
    }
  }

  async replay(): Promise<string | undefined> {
    const { consumer, openPublisher } = this.options;
    const [next] = this.selected;
    if (!next) throw new RangeError('No dead letter was found');
    const { message, window } = next;
    const { content } = message;
    const { messageId }: { messageId?: unknown } = message.properties;
    this.publisher ??= await openPublisher();
    // Without retry metadata: it counts as never tried.
    await this.publisher.publish({
      exchange: '',
      // An unreadable message may return through any shard; its original shard is not recorded.
      routingKey: shardQueue(consumer, shardOf(eventIn(content)?.memberId ?? '')),
      content,
      messageId: typeof messageId === 'string' ? messageId : undefined,
    });
    if (this.failure) throw new BusUnavailableError('BUS_DOWN', { cause: this.failure });
    window.channel.ack(message);
    window.held -= 1;
    this.selected.shift();
    this.bytes -= content.length;
    this.lastTakenAt = performance.now();
    return readDeadLetter(consumer, message).id;
  }

  async close(): Promise<void> {
    // A lost connection has returned them already.
    const isLost = this.isLost;
    this.failure ??= new Error('The reader was closed');
    if (!isLost) await waitAtMost(this.returnLetters().catch(ignore), CLOSE_TIMEOUT_MS);
    await this.publisher?.close();
    await this.options.broker.close();
  }

  private async openWindow(): Promise<void> {
    const channel = await this.options.broker.openChannel();
    // Closed meanwhile: a window that opens now would take what the others return.
    if (this.failure) return;
    const window: Window = { channel, tag: `replay-${this.windows.length}`, held: 0, staying: 0 };
    this.windows.push(window);
    channel.on('close', () =>
      this.fail(new Error(`The channel was closed during the replay of ${this.queue}`)),
    );
    await channel.prefetch(WINDOW_LETTERS);
    await channel.consume(this.queue, (message) => this.take(window, message), { consumerTag: window.tag });
  }

  private take(window: Window, message: ConsumeMessage | null): void {
    if (!message) {
      this.fail(new Error(`The broker ended the replay of ${this.queue}`));
      return;
    }
    window.held += 1;
    this.lastTakenAt = performance.now();
    if (this.examined < this.expected && !this.failure) this.examine(window, message);
    this.notify();
  }

  private examine(window: Window, message: ConsumeMessage): void {
    const { consumer, selects } = this.options;
    this.examined += 1;
    const isMatch = selects(readDeadLetter(consumer, message));
    if (isMatch && !this.isFull && this.bytes < MAX_BYTES) {
      const { fields, properties } = message;
      // Copies the content, which is a view into a far larger socket buffer.
      const content = Buffer.from(message.content);
      this.selected.push({ message: { fields, properties, content }, window });
      this.bytes += content.length;
      return;
    }
    if (isMatch) this.isFull = true;
    this.staying += 1;
    window.staying += 1;
    if (window.staying === WINDOW_LETTERS && this.examined < this.expected) this.readOn();
  }

  private readOn(): void {
    if (!this.isFull && this.staying < SCAN_LIMIT) {
      this.opening = this.openNext().catch((error: Error) => this.fail(error));
      return;
    }
    this.stop();
  }

  private async openNext(): Promise<void> {
    if (this.options.rest && !(await this.options.rest())) {
      this.stop();
      return;
    }
    this.lastTakenAt = performance.now();
    await this.openWindow();
  }

  private stop(): void {
    this.expected = this.examined;
    if (!this.isFull) this.complete = false;
    this.notify();
  }

  private fail(cause: Error): void {
    this.failure ??= cause;
    this.notify();
  }

  private notify(): void {
    this.changed.resolve();
    this.changed = deferred();
  }

  private async returnLetters(): Promise<void> {
    const { broker } = this.options;
    await this.opening;
    // Answered after all acks. Only the last window receives dead letters; the others are full.
    await this.windows
      .at(-1)
      ?.channel.cancel(this.windows.at(-1)?.tag ?? '')
      .catch(ignore);
    const answer = await broker.request((channel) => channel.checkQueue(this.queue));
    if (answer.kind !== 'value') return;
    let ready = answer.value.messageCount;
    for (const window of this.windows) {
      await window.channel.close().catch(ignore);
      ready += window.held;
      window.held = 0;
      await awaitReturn(broker, this.queue, ready);
    }
  }
}

const ignore = (): void => undefined;

/**
 * As `failureHeaders` writes them. Anybody may have put a message into the queue: unreadable headers count as absent.
 */
const headers = z.object({
  'b24-code': z.string().catch('UNKNOWN'),
  'b24-message': z.string().catch(''),
  'b24-attempts': z.int().nonnegative().catch(0),
  'b24-first-failed-at': z.number().nonnegative().optional().catch(undefined),
  'b24-last-failed-at': z.number().nonnegative().optional().catch(undefined),
});
const messageIdOf = z.string().catch('');

export function readDeadLetter(
  consumer: string,
  { properties, content }: Pick<ConsumeMessage, 'properties' | 'content'>,
): DeadLetterRecord {
  const read = headers.parse(properties.headers ?? {});
  const lastFailedAt = read['b24-last-failed-at'];
  return {
    id: idOf(messageIdOf.parse(properties.messageId), lastFailedAt, content),
    consumer,
    code: read['b24-code'],
    message: read['b24-message'],
    attempts: read['b24-attempts'],
    firstFailedAt: read['b24-first-failed-at'],
    lastFailedAt,
    content,
  };
}

const ID_BYTES = 8;

/**
 * Derived from fields that a dead letter keeps for good, so that old ones have an id too; an event that dies twice has
 * two.
 */
function idOf(messageId: string, lastFailedAt: number | undefined, content: Buffer): string {
  return createHash('sha256')
    .update(`${messageId}/${lastFailedAt ?? ''}/`)
    .update(content)
    .digest()
    .toString('hex', 0, ID_BYTES);
}
