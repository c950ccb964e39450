import type { Value, Values } from '../protocol/php.js';

/** Values of an item that was made on demand, worked out when they are read. */
export interface ValueGenerator {
  /** Undefined: a field of which it knows nothing, such as one that was added later. */
  valueOf(id: number, field: string): Value | undefined;
}

/** Only what was set is kept; the rest is made up when it is shown. */
export interface Item {
  readonly id: number;
  readonly createdAtMs: number;
  readonly createdBy: number;
  readonly generator: ValueGenerator | undefined;
  updatedAtMs: number;
  updatedBy: number;
  /** Of the last change of its stage. */
  movedAtMs: number;
  movedBy: number;
  /** Replaced at a change, never changed itself. */
  fields: Readonly<Values>;
}

export interface Order {
  field: string;
  descending: boolean;
}
