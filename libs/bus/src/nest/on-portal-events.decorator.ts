import { applyDecorators, Catch, UseFilters, type RpcExceptionFilter } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { formatEventName, parseEventName } from '@relay/events';
import { throwError, type Observable } from 'rxjs';

/** Ties our handlers to our server: no other transport of a hybrid application registers them. */
export const portalEventsTransport = Symbol('PORTAL_EVENTS');

export const PORTAL_HANDLER_KEY = 'portalEventsHandler';

/** One object for each decorated method, carried in `extras`: Nest registers a function for every pattern of it. */
export interface PortalHandlerExtras {
  readonly merge: boolean;
  readonly maxEntries: number;
}

/** What one batch request of Bitrix24 reads: 50 commands of 50 items. */
const LARGEST_BATCH = 2_500;

/**
 * Nest answers a caller with `Internal server error` whatever a handler threw; what decides about retries must see the
 * error itself. On the method, so that it works in hybrid applications without `inheritAppConfig`, too.
 */
@Catch()
class RethrowFilter implements RpcExceptionFilter<unknown> {
  catch(exception: unknown): Observable<never> {
    return throwError(() => exception);
  }
}

/** One spelling, so that two methods for one event are noticed. @throws EventError */
function canonicalName(eventName: string): string {
  const { name, entityTypeId } = parseEventName(eventName);
  return formatEventName(name, entityTypeId);
}

/**
 * Makes a controller's method the handler of these events: `(batch: PortalBatch) => Promise<void | FailedEntry[]>`.
 * It throws when the whole batch failed, or returns the entries that did; what it does not name is done. It may be
 * called again for what it has done already, so it must bear repeats. `names` are base (`ONCRMDYNAMICITEMADD`) or
 * suffixed (`ONCRMDYNAMICITEMADD_147`); the suffixed one goes before.
 *
 * `merge` (true): pending events of one entity become one entry without `data`, right for events that only say "look
 * again". False: an entry for each event, with its data, in order. `maxEntries`: at most 2,500.
 */
export function OnPortalEvents(
  names: string | string[],
  { merge = true, maxEntries = LARGEST_BATCH }: { merge?: boolean; maxEntries?: number } = {},
): MethodDecorator {
  if (!Number.isInteger(maxEntries) || maxEntries < 1 || maxEntries > LARGEST_BATCH) {
    throw new RangeError(`maxEntries is 1 to ${LARGEST_BATCH}: ${maxEntries}`);
  }
  const handler: PortalHandlerExtras = { merge, maxEntries };
  return applyDecorators(
    EventPattern([names].flat().map(canonicalName), portalEventsTransport, { [PORTAL_HANDLER_KEY]: handler }),
    UseFilters(new RethrowFilter()),
  );
}
