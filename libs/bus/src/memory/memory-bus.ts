import {
  decodeMessage,
  encodeMessage,
  isOfNewerVersion,
  parseEventName,
  type PortalEvent,
} from '@relay/events';
import type { Log } from '@relay/platform';
import {
  BusClosedError,
  BusUnavailableError,
  checkNames,
  type Consumption,
  type ConsumeOptions,
  DEFAULT_PREFETCH,
  type Delivery,
  type EventBus,
  type Failure,
  type Receipt,
} from '../contract/event-bus.js';
import { toFailure } from '../contract/failure.js';
import { NEWER_CODE, NewerMessages } from '../contract/newer-messages.js';
import { DEFAULT_RETRY_DELAYS_MS, tierFor } from '../contract/retry-delays.js';
import { shardOf } from '../contract/shard.js';

interface Message {
  /** As it would be stored: what the codec does to an event, it does here, too. */
  readonly content: Buffer;
  readonly shard: number;
  attempts: number;
  deliveryCount: number;
  firstFailedAt: number | undefined;
}

interface MemoryDeadLetter extends Failure {
  attempts: number;
  firstFailedAt: number;
  lastFailedAt: number;
  content: string;
}

/** What one consumer has at a broker. */
class ConsumerQueues {
  names: readonly string[] = [];
  /** By shard, the next one first. */
  readonly waiting = new Map<number, Message[]>();
  readonly deadLetters: MemoryDeadLetter[] = [];
  /** In the order in which they began: the first one takes all shards. */
  readonly consumptions: MemoryConsumption[] = [];

  of(shard: number): Message[] {
    let messages = this.waiting.get(shard);
    if (!messages) this.waiting.set(shard, (messages = []));
    return messages;
  }
}

/**
 * The third implementation of the bus contract, for specs: what RabbitMQ or PostgreSQL would hold, in the memory of this
 * process. Nothing opens it by a setting, and the index of this lib does not export it: what it holds dies with the process.
 */
export class MemoryBroker {
  private readonly consumers = new Map<string, ConsumerQueues>();
  private readonly timers = new Set<NodeJS.Timeout>();
  readonly unrouted: string[] = [];

  constructor(readonly retryDelaysMs: readonly number[] = DEFAULT_RETRY_DELAYS_MS) {}

  /** One bus, as one process would open it. */
  open(log: Log): MemoryBus {
    return new MemoryBus(this, log);
  }

  queues(consumer: string): ConsumerQueues {
    let queues = this.consumers.get(consumer);
    if (!queues) this.consumers.set(consumer, (queues = new ConsumerQueues()));
    return queues;
  }

  publish({ name, entityTypeId, memberId }: PortalEvent, content: Buffer): void {
    const targets = [...this.consumers].filter(([, { names }]) =>
      names
        .map(parseEventName)
        .some(
          (wanted) =>
            wanted.name === name && (wanted.entityTypeId === 0 || wanted.entityTypeId === entityTypeId),
        ),
    );
    if (targets.length === 0) this.unrouted.push(content.toString());
    for (const [consumer] of targets) this.enqueue(consumer, shardOf(memberId), content);
  }

  /** Puts a raw message into a consumer's queue, valid or not. */
  enqueue(consumer: string, shard: number, content: Buffer): void {
    this.queues(consumer)
      .of(shard)
      .push({ content, shard, attempts: 0, deliveryCount: 0, firstFailedAt: undefined });
    this.wake(consumer);
  }

  /** Puts it back into its queue when the time has come. */
  enqueueLater(consumer: string, message: Message, delayMs: number): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      this.queues(consumer).of(message.shard).push(message);
      this.wake(consumer);
    }, delayMs);
    // A retry in six hours keeps no process alive.
    this.timers.add(timer.unref());
  }

  wake(consumer: string): void {
    const [owner] = this.queues(consumer).consumptions;
    if (owner) setImmediate(() => owner.take());
  }

  forget(consumer: string): void {
    this.consumers.delete(consumer);
  }

  close(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
  }
}

class MemoryBus implements EventBus {
  private readonly consumptions = new Set<MemoryConsumption>();
  private isOpen = true;

  constructor(
    private readonly broker: MemoryBroker,
    private readonly log: Log,
  ) {}

  async publish(event: PortalEvent): Promise<void> {
    if (!this.isOpen) throw new BusUnavailableError('BUS_DOWN');
    this.broker.publish(event, encodeMessage(event));
  }

  async consume(options: ConsumeOptions): Promise<Consumption> {
    checkNames(options);
    if (!this.isOpen || options.signal?.aborted === true) throw new BusClosedError();
    const consumption = new MemoryConsumption(this.broker, options, this.log);
    this.consumptions.add(consumption);
    return consumption;
  }

  isReady(): boolean {
    return this.isOpen;
  }

  async close(): Promise<void> {
    this.isOpen = false;
    await Promise.all([...this.consumptions].map((consumption) => consumption.stop()));
  }
}

class MemoryConsumption implements Consumption {
  private isOpen = true;
  /** Unsettled deliveries by shard, the oldest first. */
  private readonly held = new Map<number, Set<MemoryReceipt>>();
  private readonly newerMessages: NewerMessages;
  private readonly queues: ConsumerQueues;

  constructor(
    readonly broker: MemoryBroker,
    private readonly options: ConsumeOptions,
    private readonly log: Log,
  ) {
    this.newerMessages = new NewerMessages(options.consumer, log);
    this.queues = broker.queues(options.consumer);
    this.queues.names = options.names;
    this.queues.consumptions.push(this);
    broker.wake(options.consumer);
  }

  get consumer(): string {
    return this.options.consumer;
  }

  isReady(): boolean {
    return this.isOpen;
  }

  newer(): number {
    return this.newerMessages.count;
  }

  async stop(): Promise<void> {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.queues.consumptions.splice(this.queues.consumptions.indexOf(this), 1);
    for (const [shard, receipts] of this.held) {
      this.queues.of(shard).unshift(...[...receipts].map((receipt) => receipt.release()));
    }
    this.held.clear();
    this.broker.wake(this.consumer);
  }

  /** Delivers what waits, up to the prefetch of each shard. */
  take(): void {
    const { prefetch = DEFAULT_PREFETCH } = this.options;
    for (const [shard, messages] of this.queues.waiting) {
      while (this.isOpen && messages.length > 0 && this.heldOf(shard).size < prefetch) {
        const message = messages.shift();
        if (message) this.deliver(message);
      }
    }
  }

  settled(receipt: MemoryReceipt, shard: number): void {
    this.heldOf(shard).delete(receipt);
    this.broker.wake(this.consumer);
  }

  bury(message: Message, { code, message: text }: Failure): void {
    this.queues.deadLetters.push({
      code,
      message: text,
      attempts: message.attempts + 1,
      firstFailedAt: message.firstFailedAt ?? Date.now(),
      lastFailedAt: Date.now(),
      content: message.content.toString(),
    });
    this.log.error(
      { event: 'bus.message.dead', consumer: this.consumer, failure: { code, message: text } },
      'a message became a dead letter',
    );
  }

  private heldOf(shard: number): Set<MemoryReceipt> {
    let held = this.held.get(shard);
    if (!held) this.held.set(shard, (held = new Set()));
    return held;
  }

  private deliver(message: Message): void {
    const receipt = new MemoryReceipt(this, message);
    this.heldOf(message.shard).add(receipt);
    let delivery: Delivery;
    try {
      delivery = { event: decodeMessage(message.content), receipt };
    } catch (error) {
      if (isOfNewerVersion(error)) {
        const id = `${message.shard}:${message.content.toString()}`;
        void receipt.defer(this.newerMessages.note(id), NEWER_CODE);
      } else {
        void receipt.dead({ code: 'UNDECODABLE', message: toFailure(error).message });
      }
      return;
    }
    this.options.receive(delivery);
  }
}

class MemoryReceipt implements Receipt {
  readonly attempts: number;
  readonly deliveryCount: number;
  readonly firstFailedAt: number | undefined;
  private isLost = false;
  private isSettled = false;

  constructor(
    private readonly consumption: MemoryConsumption,
    private readonly message: Message,
  ) {
    ({
      attempts: this.attempts,
      deliveryCount: this.deliveryCount,
      firstFailedAt: this.firstFailedAt,
    } = message);
  }

  get lost(): boolean {
    return this.isLost;
  }

  async done(): Promise<void> {
    this.settle();
  }

  async retry(
    afterMs: number,
    _failure: Failure,
    { countsAsAttempt = true }: { countsAsAttempt?: boolean } = {},
  ): Promise<void> {
    if (!this.settle()) return;
    this.message.attempts += countsAsAttempt ? 1 : 0;
    this.message.firstFailedAt ??= Date.now();
    this.scheduleRetry(afterMs);
  }

  async defer(afterMs: number, _code?: string): Promise<void> {
    if (this.settle()) this.scheduleRetry(afterMs);
  }

  async dead(failure: Failure): Promise<void> {
    if (this.settle()) this.consumption.bury(this.message, failure);
  }

  /** Its consumption has stopped. */
  release(): Message {
    this.isLost = true;
    this.message.deliveryCount += 1;
    return this.message;
  }

  private settle(): boolean {
    if (this.isSettled || this.isLost) return false;
    this.isSettled = true;
    this.consumption.settled(this, this.message.shard);
    return true;
  }

  private scheduleRetry(afterMs: number): void {
    const { broker, consumer } = this.consumption;
    this.message.deliveryCount = 0;
    broker.enqueueLater(consumer, this.message, tierFor(afterMs, broker.retryDelaysMs));
  }
}
