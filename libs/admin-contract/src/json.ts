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
export const time = z.iso.datetime({ offset: true }).transform((text) => new Date(text));

export const memberId = z.string().regex(/^[\w-]{1,64}$/, 'is no member_id');
export const consumerName = z.string().regex(/^[a-z][a-z0-9-]{0,39}$/, 'is no name of a consumer');

/** Every response of a status from 400 on. */
export const errorResponse = z.object({ error: z.string() });
