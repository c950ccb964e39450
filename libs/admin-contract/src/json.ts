import { z } from 'zod';

/** A value before its JSON serialization: where the client gets a text, the server may have a date. */
type BeforeJson<T> = T extends string
  ? string extends T
    ? T | Date
    : T
  : T extends readonly (infer Item)[]
    ? readonly BeforeJson<Item>[]
    : T extends object
      ? { [Key in keyof T]: BeforeJson<T[Key]> }
      : T;

/** What a handler returns for a response of this schema. */
export type Sent<Response extends z.ZodType> = BeforeJson<z.input<Response>>;

/** A time in a request, with its zone. */
export const time = z.iso
  .datetime({ offset: true, error: 'must be a time with its zone, such as 2026-11-25T08:00:00Z' })
  .transform((text) => new Date(text));

export const memberId = z.string().regex(/^[\w-]{1,64}$/, 'is no member_id');
export const consumerName = z.string().regex(/^[a-z][a-z0-9-]{0,39}$/, 'is no name of a consumer');
/** As `event.bind` takes it, also in lower case. */
export const eventName = z.string().regex(/^(?=.{1,100}$)\w+(?:\.\w+)*$/, 'is no name of an event');

const DEFAULT_LIST = 100;
const MAX_LIST = 1_000;
const LIST_RANGE = `must be a whole number from 1 to ${MAX_LIST}`;

/** How many entries of a list are wanted, in a query. */
export const listLimit = z.coerce
  .number({ error: LIST_RANGE })
  .int({ error: LIST_RANGE })
  .min(1, { error: LIST_RANGE })
  .max(MAX_LIST, { error: LIST_RANGE })
  .default(DEFAULT_LIST);

/** Every response of a status from 400 on. */
export const errorResponse = z.object({ error: z.string() });
