import type { DeadLetterRecord } from '../admin/dead-letter.js';

/** A message that waits on the bus of before, as either bus can store it. */
export interface WaitingMessage {
  shard: number;
  content: Buffer;
  attempts: number;
  /** Milliseconds; undefined before the first failure. */
  firstFailedAt: number | undefined;
  /** Of its last failure, or why it waits. */
  code: string | undefined;
  /** Milliseconds until it is to be handed out. */
  dueInMs: number;
}

export type MovedLetter = Omit<DeadLetterRecord, 'id' | 'consumer'>;

/** One consumer's place on the bus in use. What these have resolved for is stored there. */
export interface MoveTarget {
  message(message: WaitingMessage): Promise<void>;
  letter(letter: MovedLetter): Promise<void>;
  close(): Promise<void>;
}

export interface MoveParts {
  /** Makes what the consumer needs there. @throws BusUnavailableError */
  openTarget: (consumer: string) => Promise<MoveTarget>;
  /** For what nobody wanted: the bus in use routes it anew. */
  publish: (content: Buffer) => Promise<void>;
  /** The round has taken its time: what is left is for the next one. */
  isOver: () => boolean;
}

export interface MoveRound {
  messages: number;
  letters: number;
  unrouted: number;
  /** Nothing is left that this process could move. */
  done: boolean;
  /** Consumers whose processes still work on the bus of before: theirs is left to them. */
  served: string[];
}

export const emptyRound = (): MoveRound => ({ messages: 0, letters: 0, unrouted: 0, done: true, served: [] });

/** Where messages lie that nobody works on any more. */
export interface MoveSource {
  /** For the log and for operators. */
  readonly name: string;
  /** Stored in the target before it is gone here: a kill in the middle doubles what it was at, and loses nothing. */
  round(parts: MoveParts): Promise<MoveRound>;
}
