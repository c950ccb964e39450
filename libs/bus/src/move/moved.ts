import type { DeadLetterRecord } from '../admin/dead-letter-store.js';

/** A message that waits on the previous bus, in a form that either bus can store. */
export interface WaitingMessage {
  shard: number;
  content: Buffer;
  attempts: number;
  /** Unix time in milliseconds; undefined before the first failure. */
  firstFailedAt: number | undefined;
  /** Code of its last failure, or why it waits. */
  code: string | undefined;
  /** Milliseconds until its delivery is due. */
  dueInMs: number;
}

export type MovedDeadLetter = Omit<DeadLetterRecord, 'id' | 'consumer'>;

/** One consumer on the bus in use. When these methods resolve, the message is stored there. */
export interface MoveTarget {
  message(message: WaitingMessage): Promise<void>;
  deadLetter(letter: MovedDeadLetter): Promise<void>;
  close(): Promise<void>;
}

export interface MoveParts {
  /** Declares what the consumer needs there. @throws BusUnavailableError */
  openTarget: (consumer: string) => Promise<MoveTarget>;
  /** For unrouted events: the bus in use routes them again. */
  publish: (content: Buffer) => Promise<void>;
  /** The time of the round is over: the rest is for the next one. */
  isOver: () => boolean;
}

export interface MoveResult {
  messages: number;
  letters: number;
  unrouted: number;
  /** Nothing is left that this process could move. */
  done: boolean;
  /** Consumers whose processes still use the previous bus: their messages are left to them. */
  served: string[];
}

export const emptyResult = (): MoveResult => ({
  messages: 0,
  letters: 0,
  unrouted: 0,
  done: true,
  served: [],
});

/** A bus whose messages no process handles any more. */
export interface MoveSource {
  /** For the log and for operators. */
  readonly name: string;
  /** Stores each message in the target before deleting it here: a crash in between duplicates it and loses nothing. */
  move(parts: MoveParts): Promise<MoveResult>;
}
