import { parseEventName, type PortalEvent } from '@relay/events';
import type { Log } from '@relay/platform';

/**
 * Carries events from the gateway to the consumers, at least once: an event for which `publish` has resolved is
 * delivered to every subscribed consumer until that consumer settles it. Implementations: RabbitMQ, PostgreSQL, and for specs
 * the memory of a process.
 */
export interface EventBus {
  /**
   * Resolves when the event is stored durably for every subscribed consumer.
   * @param deadlineMs default 500 ms; callers that nobody waits for pass a longer one
   * @throws BusUnavailableError at once when the bus is known to be down, else after the deadline. The event may have
   * been stored anyway: publish it again; consumers tolerate duplicates.
   */
  publish(event: PortalEvent, deadlineMs?: number): Promise<void>;
  /**
   * Resolves when the consumer's queues exist and are bound, however long the bus is down. From then on the consumer
   * misses no event that it subscribes to, even while it is not running.
   */
  consume(options: ConsumeOptions): Promise<Consumption>;
  /** An event published now would be stored. */
  isReady(): boolean;
  /** Ends every consumption, then closes the connections. */
  close(): Promise<void>;
}

/**
 * With sixteen shards, this many deliveries take about 100 MB. A flood that does not fit goes through the retry tiers, where
 * each redelivery costs the bus as much as a new event (ADR 11).
 */
export const DEFAULT_PREFETCH = 6_000;

export interface ConsumeOptions {
  /**
   * Part of the queue names: lower-case letters, digits and `-`, at most 40. All processes of one consumer share it.
   */
  consumer: string;
  /** Event names: base (`ONCRMDYNAMICITEMADD`, every type) or suffixed (`ONCRMDYNAMICITEMADD_147`, only that type). */
  names: readonly string[];
  /** Maximum unacknowledged deliveries per shard. Default {@link DEFAULT_PREFETCH}. */
  prefetch?: number;
  /** Takes a delivery. It must not throw, and every receipt must eventually be settled. */
  receive: (delivery: Delivery) => void;
  /** Stops waiting for the bus; the promise rejects with BusClosedError. */
  signal?: AbortSignal;
}

/** Part of queue names and of a PostgreSQL NOTIFY channel, whose name is limited to 63 bytes. */
const CONSUMER_NAME = /^[a-z][a-z0-9-]{0,39}$/;

/** @throws TypeError or EventError when one of the names is none */
export function checkNames({ consumer, names }: Pick<ConsumeOptions, 'consumer' | 'names'>): void {
  if (!CONSUMER_NAME.test(consumer)) {
    throw new TypeError(`A consumer's name is 1 to 40 of a-z, 0-9 and "-": ${consumer}`);
  }
  for (const name of names) parseEventName(name);
}

export interface Consumption {
  /** The queues exist and deliveries arrive, at this process or at another one of the same consumer. */
  isReady(): boolean;
  /**
   * Messages written by a newer version that this process has returned to the bus for now, as far as it has seen them.
   */
  newer(): number;
  /** Takes no more deliveries; unsettled ones return to the bus and are redelivered, here or elsewhere, in order. */
  stop(): Promise<void>;
}

/**
 * The obligation to settle one message with exactly one of `done`, `retry`, `defer`, `dead`. Small, so that many fit
 * in memory.
 */
export interface Receipt {
  /** Failed attempts before this delivery. */
  readonly attempts: number;
  /** How often this message was delivered before and came back unsettled, for example after a crash. */
  readonly deliveryCount: number;
  /** Unix time in milliseconds; undefined before the first failure. */
  readonly firstFailedAt: number | undefined;
  /** The message has returned to the bus and will be redelivered: settling this receipt has no effect. */
  readonly lost: boolean;
  /** Bytes of a large message that is kept as long as this receipt; undefined or 0 where that is next to nothing. */
  readonly heldBytes?: number;
  done(): Promise<void>;
  /**
   * Redelivers the message after about `afterMs`, rounded up to a retry tier. Counts as an attempt unless told
   * otherwise.
   */
  retry(afterMs: number, failure: Failure, options?: { countsAsAttempt?: boolean }): Promise<void>;
  /**
   * Redelivers the message later although nothing failed: it keeps its attempts and its history.
   * @param code stored with the waiting message, for operators
   */
  defer(afterMs: number, code?: string): Promise<void>;
  /** Moves the message to the dead letters, for an operator to inspect and replay. */
  dead(failure: Failure): Promise<void>;
}

/** To hold many, keep the receipts and drop the events. */
export interface Delivery {
  readonly event: PortalEvent;
  readonly receipt: Receipt;
}

/** Why a delivery failed; `message` contains no secret. */
export interface Failure {
  code: string;
  message: string;
}

/** Options that both implementations take besides their address. */
export interface BusOptions {
  log: Log;
  /** Delays of the retry tiers in milliseconds, ascending. RabbitMQ declares one queue per tier. */
  retryDelaysMs: readonly number[];
  publishDeadlineMs: number;
}

export type BusUnavailableCode =
  'BUS_DOWN' | 'BUS_BLOCKED' | 'BUS_TIMEOUT' | 'BUS_OVERLOADED' | 'BUS_REFUSED';

const UNAVAILABLE: Record<BusUnavailableCode, string> = {
  BUS_DOWN: 'there is no connection',
  BUS_BLOCKED: 'the broker is in alarm and takes nothing',
  BUS_TIMEOUT: 'it did not confirm in time',
  BUS_OVERLOADED: 'too many messages wait for their confirmation',
  BUS_REFUSED: 'the message was rejected, or the connection ended before it was confirmed',
};

export const BUS_UNAVAILABLE_CODES = Object.keys(UNAVAILABLE);

/** The event is not known to be stored; keep it and publish it later. */
export class BusUnavailableError extends Error {
  override readonly name = 'BusUnavailableError';
  constructor(
    readonly code: BusUnavailableCode,
    options?: { cause?: unknown },
  ) {
    super(`The bus is not available: ${UNAVAILABLE[code]}`, options);
  }
}

/** This process closed the bus, or aborted the wait for it. */
export class BusClosedError extends Error {
  override readonly name = 'BusClosedError';
  readonly code = 'BUS_CLOSED';
  constructor() {
    super('The bus was closed');
  }
}
