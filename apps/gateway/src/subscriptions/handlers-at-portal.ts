import { type Command, listOf, type PortalClient } from '@relay/bitrix24';
import { z } from 'zod';

/** As `event.get` shows it and `event.unbind` wants it: `handler` is the address. */
export type Handler = { event: string; handler: string };

const shown = listOf(z.object({ event: z.string(), handler: z.string().optional() }));

/** What the portal sends to us already, such as after a crash between event.bind and our note of it. */
export async function boundAt(client: PortalClient, signal?: AbortSignal): Promise<Handler[]> {
  const { result } = await client.call('event.get', {}, { signal });
  // An offline event has no handler.
  return shown
    .parse(result)
    .flatMap(({ event, handler }) => (handler ? { event: event.toUpperCase(), handler } : []));
}

export function has(handlers: Handler[], event: string, handler: string): boolean {
  return handlers.some((one) => one.event === event && one.handler === handler);
}

/**
 * Both are always named: some portals take `event.unbind` without an event, or without a handler, for one of all, those of
 * others included (api-reference/events/event-unbind.md).
 * @throws TypeError
 */
export function unbindCommand({ event, handler }: Handler): Command {
  if (event === '' || handler === '') throw new TypeError('event.unbind needs an event and a handler');
  return { method: 'event.unbind', params: { event, handler } };
}
