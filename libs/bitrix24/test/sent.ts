import { z } from 'zod';
import type { ReceivedRequest } from './peer.js';
import { parsePhpQuery, type PhpMap } from './php-query.js';

const batch = z.object({ cmd: z.record(z.string(), z.string()) });
const listPage = z.object({
  filter: z.record(z.string(), z.number()).default({}),
  order: z.record(z.string(), z.string()),
  start: z.number(),
  select: z.array(z.string()).optional(),
});

/** The commands of a sent batch: method and parameters of each. */
export function sentCommands({ text }: ReceivedRequest): Map<string, { method: string; params: PhpMap }> {
  const { cmd } = batch.parse(JSON.parse(text));
  return new Map(
    Object.entries(cmd).map(([key, command]) => {
      const [method = '', query = ''] = command.split('?');
      return [key, { method, params: parsePhpQuery(query) }];
    }),
  );
}

/** The parameters of a request for one page of a list. */
export function sentPage({ text }: ReceivedRequest): z.infer<typeof listPage> {
  return listPage.parse(JSON.parse(text));
}
