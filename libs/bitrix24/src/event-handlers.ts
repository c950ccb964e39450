import { z } from 'zod';
import type { PortalClient } from './portal-client.js';
import type { Command } from './rest/batch.js';
import { invalidResponse } from './rest/response.js';

/** A bound event in the format of `event.get` and `event.unbind`: `handler` is the address. */
export type EventHandler = { event: string; handler: string };

/** A handler of the offline queue; `connector` is empty without `auth_connector`. */
export type OfflineHandler = { event: string; connector: string };

/**
 * The application's handlers at a portal: to an administrator's token pair all of them, to another user's its own, and
 * no offline ones (api-reference/events/event-get.md).
 */
export interface ListedHandlers {
  readonly online: readonly EventHandler[];
  readonly offline: readonly OfflineHandler[];
  /** Number of rows that are not as documented; nothing is known of them. */
  readonly unreadable: number;
}

/** Longer than any documented name; without what a terminal or a log line would act on. */
const EVENT_NAME = /^[\w.]{1,100}$/;
const MAX_ADDRESS_LENGTH = 2_000;

const rows = z.array(z.unknown());
const row = z.object({
  event: z
    .string()
    .regex(EVENT_NAME)
    .transform((name) => name.toUpperCase()),
  handler: z.string().max(MAX_ADDRESS_LENGTH).nullish(),
  offline: z.union([z.number(), z.string()]).nullish(),
  connector_id: z.string().max(MAX_ADDRESS_LENGTH).nullish(),
});

/** One unreadable row does not hide the others. @throws Bitrix24Error `BAD_ANSWER` also for what is no list */
export async function readHandlers(client: PortalClient, signal?: AbortSignal): Promise<ListedHandlers> {
  const { result } = await client.call('event.get', {}, { signal });
  const listed = rows.safeParse(result);
  if (!listed.success) {
    throw invalidResponse({ memberId: client.memberId, method: 'event.get', secrets: [] });
  }
  const online: EventHandler[] = [];
  const offline: OfflineHandler[] = [];
  let unreadable = 0;
  for (const entry of listed.data) {
    const parsed = row.safeParse(entry);
    if (!parsed.success) {
      unreadable += 1;
      continue;
    }
    const { event, handler, offline: isOffline, connector_id: connector } = parsed.data;
    if (isOffline === 1 || isOffline === '1') offline.push({ event, connector: connector ?? '' });
    else if (handler) online.push({ event, handler });
    else unreadable += 1;
  }
  return { online, offline, unreadable };
}

/** The online handlers that are bound at the portal now. @throws Bitrix24Error */
export async function listHandlers(
  client: PortalClient,
  signal?: AbortSignal,
): Promise<readonly EventHandler[]> {
  return (await readHandlers(client, signal)).online;
}

export function hasHandler(handlers: readonly EventHandler[], event: string, handler: string): boolean {
  return handlers.some((one) => one.event === event && one.handler === handler);
}

/**
 * Both are always passed: without an event or a handler, some portals unbind all of them, also those of
 * other applications (api-reference/events/event-unbind.md).
 * @throws TypeError
 */
export function unbindCommand({ event, handler }: EventHandler): Command {
  if (event === '' || handler === '') throw new TypeError('event.unbind needs an event and a handler');
  return { method: 'event.unbind', params: { event, handler } };
}
