import type { Value, Values } from '../protocol/php.js';

/** Computes the values of a generated item on read. */
export interface ValueGenerator {
  /** Undefined for an unknown field, such as one that was added later. */
  valueOf(id: number, field: string): Value | undefined;
}

/** Stores only the fields that were set; the others are computed on read. */
export interface Item {
  readonly id: number;
  readonly createdAtMs: number;
  readonly createdBy: number;
  readonly generator: ValueGenerator | undefined;
  updatedAtMs: number;
  updatedBy: number;
  /** When and by whom its stage was changed last. */
  movedAtMs: number;
  movedBy: number;
  /** Replaced on change, never mutated. */
  fields: Readonly<Values>;
}

export interface Order {
  field: string;
  descending: boolean;
}

/** What an object type adds to its fields. */
export interface ItemRules {
  /** Default values in addition to those of the fields. `title` is followed by the id. */
  readonly defaults: Readonly<Values>;
  /** Values that Bitrix24 computes of others, by field. */
  readonly computed?: Readonly<Record<string, (read: (field: string) => Value) => Value>>;
  /** Other values that a change brings with it. `read` gives those before the change. */
  complete?(written: Values, read: (field: string) => Value): Values;
  /** The stages of the default pipeline, in their order. */
  stages(): readonly string[];
}
