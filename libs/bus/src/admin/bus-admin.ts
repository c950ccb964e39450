import type { DeadLetters } from './dead-letters.js';
import type { ConsumerProcess } from './process-reports.js';

/** What an operator sees of the bus and does to it. Two implementations: RabbitMQ and PostgreSQL. */
export interface BusAdmin {
  readonly deadLetters: DeadLetters;
  /** Names of consumers that the bus itself has traces of. RabbitMQ cannot list queues: only of those that run. */
  knownConsumers(): Promise<string[]>;
  statusOf(consumer: string): Promise<ConsumerStatus>;
  /** Events that nobody subscribes to, by name; the most frequent first. */
  unrouted(): Promise<UnroutedEvents[]>;
  /**
   * Brings those that a consumer wants by now to every such consumer; all others stay.
   * @param wanted event names by consumer
   * @throws OperationInProgressError, BusUnavailableError
   */
  replayUnrouted(
    wanted: ReadonlyMap<string, readonly string[]>,
    filter: UnroutedFilter,
  ): Promise<UnroutedReplay>;
  /**
   * What waits for these portals, for its next attempt or for their portal to take calls again, is due now. It keeps what
   * is known of its attempts; all others wait as before.
   * @returns how many events
   * @throws OperationInProgressError, BusUnavailableError; what was not woken comes at its time
   */
  wake(consumer: string, memberIds: ReadonlySet<string>): Promise<number>;
  /** Everything that must stand for these consumers to work, and how it stands. Changes nothing. */
  topology(wanted: ReadonlyMap<string, readonly string[]>): Promise<TopologyPart[]>;
  /**
   * Removes all that stands for a consumer, when no process of it runs and none of its messages is left, or when they are
   * to be dropped.
   * @throws OperationInProgressError while somebody else works on its dead letters
   */
  retire(consumer: string, options: RetireOptions): Promise<Retirement>;
  close(): Promise<void>;
}

export interface ConsumerStatus {
  consumer: string;
  /** Events in its queues that no process has taken. */
  waiting: number;
  /** Events that its processes have taken and not settled; on RabbitMQ those that wait in lanes, as processes report. */
  inHand: number;
  /** Events that wait for their next attempt. */
  retrying: number;
  /** Of those, events that a newer version wrote: they wait for the upgrade. On RabbitMQ as processes report. */
  newer: number;
  dead: number;
  /** When the oldest event that waits or is in hand was received; null when there is none, or nobody can tell. */
  oldestAt: Date | null;
  /** Of the 16 shards, those that a process serves at this moment. */
  shardsServed: number;
  /** As they report; one that could not report for a while is not among them. */
  processes: ConsumerProcess[];
  /** It has work and no process that does it. */
  missing: boolean;
  /** Nothing stands for it on the bus: it never ran, or it was retired. */
  unknown: boolean;
}

export interface UnroutedEvents {
  /** With its suffix where the event had one, as a consumer would subscribe to it. */
  name: string;
  events: number;
  portals: number;
  /** When the gateway received the last of them. */
  lastAt: Date;
}

export interface UnroutedFilter {
  memberId?: string;
  /** By the time at which the gateway received it. */
  since?: Date;
  until?: Date;
}

export interface UnroutedReplay {
  /** Events that are with their consumers now. */
  replayed: number;
  /** Events that stay: nobody wants them, or the filter does not mean them. */
  left: number;
}

/** `unavailable`: it stands, and does not answer, as a queue without a leader. */
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
  /** Every event name that it may ever have subscribed to; more do no harm. */
  names: readonly string[];
  /** From now on it gets no more events; its processes go on with those that wait. Nothing is removed. */
  drain?: boolean;
  /** What waits, retries or lies dead is thrown away. */
  drop?: boolean;
}

export type Retirement =
  | { outcome: 'retired'; dropped: number }
  | { outcome: 'draining'; status: ConsumerStatus }
  /** Nothing was removed. `unsubscribed`: events came while it was being retired, and it gets no more. */
  | { outcome: 'refused'; because: 'processes' | 'messages'; status: ConsumerStatus; unsubscribed: boolean };

/** How many messages stand in the way of retiring it. */
export function countMessages({ waiting, inHand, retrying, dead }: ConsumerStatus): number {
  return waiting + inHand + retrying + dead;
}
