import type { DeadLetters } from './dead-letters.js';
import type { RetryFilter, RetryList } from './waiting-retries.js';

/** The admin API of the bus, for operators. Two implementations: RabbitMQ and PostgreSQL. */
export interface BusAdmin {
  readonly deadLetters: DeadLetters;
  /** Names of consumers found on the bus itself. RabbitMQ cannot list queues: there, only running consumers. */
  knownConsumers(): Promise<string[]>;
  statusOf(consumer: string): Promise<ConsumerStatus>;
  /** The same of several, in their order: with one statement for each table, or one connection to the broker. */
  statuses(consumers: readonly string[]): Promise<ConsumerStatus[]>;
  /** Events without a subscriber, counted by name; the most frequent first. */
  unrouted(): Promise<UnroutedEvents[]>;
  /**
   * Republishes the unrouted events that consumers subscribe to by now, to every such consumer; all others stay.
   * @param wanted event names by consumer
   * @throws OperationInProgressError, BusUnavailableError
   */
  replayUnrouted(
    wanted: ReadonlyMap<string, readonly string[]>,
    filter: UnroutedFilter,
  ): Promise<UnroutedReplay>;
  /**
   * Events of a consumer that wait for their next attempt, the next first.
   * @throws OperationInProgressError
   */
  retries(consumer: string, filter: RetryFilter): Promise<RetryList>;
  /**
   * Makes everything that waits for these portals due now: retries, and events held until their portal accepts calls
   * again. Retry metadata is kept; all other messages wait as before.
   * @returns how many events
   * @throws OperationInProgressError, BusUnavailableError; messages that were not woken become due at their time
   */
  wake(consumer: string, memberIds: ReadonlySet<string>): Promise<number>;
  /** Everything that must exist for these consumers to work, with its state. Read-only. */
  topology(wanted: ReadonlyMap<string, readonly string[]>): Promise<TopologyPart[]>;
  /**
   * Makes what a consumer takes its events from, as its first start does: from now on events of these names are stored for it, and
   * no others. For a consumer that some other program is.
   * @param former every event name that it may have had before; extra names do no harm
   * @throws OperationInProgressError, BusUnavailableError
   */
  declare(consumer: string, names: readonly string[], former: readonly string[]): Promise<void>;
  /**
   * Runs this while nobody else registers or retires the consumer, in any process: what exists for it on the bus, and what is recorded
   * of it, are changed one after the other.
   * @throws OperationInProgressError
   */
  serialize<T>(consumer: string, work: () => Promise<T>): Promise<T>;
  /**
   * Removes everything that belongs to a consumer, if no process of it runs and none of its messages is left or they
   * are to be dropped.
   * @throws OperationInProgressError while another operation on its dead letters is running
   */
  retire(consumer: string, options: RetireOptions): Promise<Retirement>;
  close(): Promise<void>;
}

export interface ConsumerStatus {
  consumer: string;
  /** Events in its queues that no process has taken. */
  waiting: number;
  /**
   * Events that its processes have taken and not settled. On RabbitMQ: those that wait in lanes, as reported by
   * processes.
   */
  inHand: number;
  /** Events that wait for their next attempt. */
  retrying: number;
  /** Of those, events written by a newer version: they wait for the upgrade. On RabbitMQ, as reported by processes. */
  newer: number;
  /**
   * Of those, events for which nothing failed: they exceeded the capacity of their portal's lane. On RabbitMQ, as
   * reported by processes: those that a process put off before it ended count as retrying.
   */
  deferred: number;
  dead: number;
  /** When the oldest event, waiting or in flight, was received; null when there is none or it is unknown. */
  oldestAt: Date | null;
  /** Of the 16 shards, those that a process serves at this moment. */
  shardsServed: number;
  /** As they report; a process that has not reported for a while is not listed. */
  processes: ConsumerProcess[];
  /** It has work and no process to do it. */
  missing: boolean;
  /** Nothing exists for it on the bus: it never ran, or it was retired. */
  unknown: boolean;
}

/** One process of a consumer, as it reported itself. */
export interface ConsumerProcess {
  replica: string;
  /** For display; in a container, the container id. */
  host: string;
  pid: number;
  /** Portals with work. */
  lanes: number;
  /** Events that wait in lanes. */
  waiting: number;
  /** Batches in flight. */
  batches: number;
  /** The circuit breaker is open: one event at a time is tried. */
  isPaused: boolean;
  oldestAt: Date | null;
  /** Messages written by a newer version that it has returned to the bus lately. */
  newer: number;
  /** Events that it has put off although nothing failed, and that are not due again yet. */
  deferred: number;
  /** Events that it has handled since its start. */
  done: number;
  /** The portals of which it has the most events, the most first, ten at most. */
  largest: { memberId: string; events: number }[];
  startedAt: Date;
  reportedAt: Date;
}

export interface UnroutedEvents {
  /** With its suffix if the event has one, in the form that a consumer would subscribe to. */
  name: string;
  events: number;
  portals: number;
  /** When the gateway received the last of them. */
  lastAt: Date;
}

export interface UnroutedFilter {
  memberId?: string;
  /** Compared with the time at which the gateway received the event. */
  since?: Date;
  until?: Date;
}

export interface UnroutedReplay {
  /** Events that were handed to their consumers. */
  replayed: number;
  /** Events that stay: without a subscriber, or not matched by the filter. */
  left: number;
}

/** `unavailable`: it exists but does not answer, like a queue without a leader. */
export type TopologyState = 'ok' | 'missing' | 'different' | 'unavailable';

export interface TopologyPart {
  kind: 'shards' | 'exchange' | 'queue' | 'table' | 'subscription';
  name: string;
  /** null: it belongs to all of them. */
  consumer: string | null;
  state: TopologyState;
  /** What is wrong with it. */
  detail: string | null;
}

export interface RetireOptions {
  /** Every event name that it may ever have subscribed to; extra names do no harm. */
  names: readonly string[];
  /** It receives no more events from now on; its processes finish the waiting ones. Nothing is removed. */
  drain?: boolean;
  /** Waiting, retrying and dead messages are deleted. */
  drop?: boolean;
}

export type Retirement =
  | { outcome: 'retired'; dropped: number }
  | { outcome: 'draining'; status: ConsumerStatus }
  /** Nothing was removed. `unsubscribed`: events arrived during the retirement, and it receives no more. */
  | { outcome: 'rejected'; reason: 'processes' | 'messages'; status: ConsumerStatus; unsubscribed: boolean };

/** What was asked of one consumer. @throws TypeError if there is another number of them */
export function singleStatus(statuses: readonly ConsumerStatus[]): ConsumerStatus {
  const [status] = statuses;
  if (!status || statuses.length > 1) throw new TypeError('Each consumer has one status');
  return status;
}

/** How many messages prevent its retirement. */
export function countMessages({ waiting, inHand, retrying, dead }: ConsumerStatus): number {
  return waiting + inHand + retrying + dead;
}
