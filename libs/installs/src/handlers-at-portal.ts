import { type Command, listOf, type PortalClient } from '@relay/bitrix24';
import { z } from 'zod';

/** The format of `event.get` and `event.unbind`: `handler` is the address. */
export type Handler = { event: string; handler: string };

const shown = listOf(z.object({ event: z.string(), handler: z.string().optional() }));

/** What the portal already sends to us, for example after a crash between event.bind and its record. */
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
 * Both are always passed: without an event or a handler, some portals unbind all of them, also those of
 * other applications (api-reference/events/event-unbind.md).
 * @throws TypeError
 */
export function unbindCommand({ event, handler }: Handler): Command {
  if (event === '' || handler === '') throw new TypeError('event.unbind needs an event and a handler');
  return { method: 'event.unbind', params: { event, handler } };
}
