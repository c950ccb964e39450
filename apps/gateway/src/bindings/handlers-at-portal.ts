import type { PortalClient } from '@relay/bitrix24';
import { z } from 'zod';

/** As `event.get` shows it and `event.unbind` wants it: `handler` is the address. */
export type Handler = { event: string; handler: string };

const shown = z.array(z.object({ event: z.string(), handler: z.string().optional() }));

/** What the portal sends to us already, such as after a crash between event.bind and our note of it. */
export async function boundAt(client: PortalClient): Promise<Handler[]> {
  const { result } = await client.call('event.get');
  // An offline event has no handler.
  return shown
    .parse(result)
    .flatMap(({ event, handler }) => (handler ? { event: event.toUpperCase(), handler } : []));
}

export function has(handlers: Handler[], event: string, handler: string): boolean {
  return handlers.some((one) => one.event === event && one.handler === handler);
}
