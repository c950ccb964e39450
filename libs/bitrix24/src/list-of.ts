import { z, type ZodType } from 'zod';

/**
 * An array schema that fails at the first invalid entry. `z.array` creates an issue of some 500 bytes for each entry
 * and one message of all: a portal that sends a million numbers instead of strings would exhaust the memory.
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
