import type { PortalEvent } from '@relay/events';
import type { Log } from '@relay/platform';

/**
 * Carries events from the gateway to the consumers, at least once: what `publish` has resolved for is handed to every
 * consumer that wants it until that consumer settles it. Two implementations: RabbitMQ and PostgreSQL.
 */
export interface EventBus {
  /**
   * Resolves when the event is stored durably for every consumer that wants it.
   * @param deadlineMs for whom nobody waits; else 500 ms
   * @throws BusUnavailableError at once when the bus is known to be down, else after the deadline. The event may have
   * been stored all the same: to publish it again is right, and consumers bear the repeat.
   */
  publish(event: PortalEvent, deadlineMs?: number): Promise<void>;
  /**
   * Resolves when the consumer's queues stand and are bound, however long the bus is away; from then on nothing that
   * the consumer wants is missed, also while it is not running.
   */
  consume(options: ConsumeOptions): Promise<Consumption>;
  /** An event published now would be stored. */
  isReady(): boolean;
  /** Ends every consumption, then the connections. */
  close(): Promise<void>;
}

/**
 * Sixteen shards of so many are about forty megabytes. Fewer would make more requests of a flood: a batch reads up to
 * 2,500 items with one.
 */
export const DEFAULT_PREFETCH = 2_000;

export interface ConsumeOptions {
  /** Names the queues: lower case letters, digits and `-`, at most 40. All processes of one consumer share the name. */
  consumer: string;
  /** Event names, base (`ONCRMDYNAMICITEMADD`: every type) or suffixed (`ONCRMDYNAMICITEMADD_147`: that type alone). */
  names: readonly string[];
  /** Most deliveries in hand per shard. Default {@link DEFAULT_PREFETCH}. */
  prefetch?: number;
  /** Takes a delivery; it must not throw, and every delivery must be settled in the end. */
  receive: (delivery: Delivery) => void;
  /** Gives up waiting for the bus; the promise rejects with BusClosedError. */
  signal?: AbortSignal;
}

export interface Consumption {
  /** The queues stand and deliveries come, to this process or to another one of the same consumer. */
  isReady(): boolean;
  /** Messages that a newer version wrote and that this process has sent back for now, as far as it has seen them. */
  newer(): number;
  /** Takes no more; what is not settled goes back and is delivered again, here or elsewhere, in its order. */
  stop(): Promise<void>;
}

/** The obligation to settle one message: exactly one of `done`, `retry`, `defer`, `dead`. Small, so that many can be held. */
export interface Receipt {
  /** Failed attempts before this delivery. */
  readonly attempts: number;
  /** How often this very message was handed out before and came back unsettled, as after a crash. */
  readonly deliveryCount: number;
  /** Milliseconds; undefined before the first failure. */
  readonly firstFailedAt: number | undefined;
  /** The message has gone back to the bus and will come again: settling this receipt does nothing any more. */
  readonly lost: boolean;
  done(): Promise<void>;
  /** Hands the message back after about `afterMs`, rounded up to a tier of the bus. Counts as an attempt unless told otherwise. */
  retry(afterMs: number, failure: Failure, options?: { countsAsAttempt?: boolean }): Promise<void>;
  /**
   * Hands the message back for later without anything having failed: it keeps its attempts and its history.
   * @param code what stands beside it meanwhile, for whoever looks at what waits
   */
  defer(afterMs: number, code?: string): Promise<void>;
  /** Puts the message among the dead letters, for a person to read and replay. */
  dead(failure: Failure): Promise<void>;
}

export interface Delivery extends Receipt {
  readonly event: PortalEvent;
  /** The same obligation without the event, for keeping. */
  readonly receipt: Receipt;
}

/** Why a delivery was not handled; `message` holds no secret. */
export interface Failure {
  code: string;
  message: string;
}

/** What both implementations take beside their address. */
export interface BusOptions {
  log: Log;
  /** Milliseconds of the retry tiers, ascending. RabbitMQ makes a queue for each. */
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
  BUS_REFUSED: 'the message was refused, or the connection ended before it was confirmed',
};

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

/** The bus, or the wait for it, was closed by this process. */
export class BusClosedError extends Error {
  override readonly name = 'BusClosedError';
  readonly code = 'BUS_CLOSED';
  constructor() {
    super('The bus was closed');
  }
}
