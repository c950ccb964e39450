import { z, type ZodType } from 'zod';

/**
 * A list that is given up at its first bad entry. `z.array` makes an issue of each, some 500 bytes, and a sentence of all of
 * them: a portal that answers a million numbers where texts belong would end the process.
 */
export function listOf<T>(entry: ZodType<T>): ZodType<T[]> {
  return z.array(z.unknown()).transform((entries, context) => {
    const read: T[] = [];
    for (const [index, value] of entries.entries()) {
      const parsed = entry.safeParse(value);
      if (!parsed.success) {
        context.addIssue({ code: 'custom', path: [index], message: 'Invalid entry' });
        return z.NEVER;
      }
      read.push(parsed.data);
    }
    return read;
  });
}
