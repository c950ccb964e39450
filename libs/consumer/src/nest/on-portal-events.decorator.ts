import { applyDecorators, Catch, UseFilters, type RpcExceptionFilter } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { formatEventName, parseEventName } from '@relay/bus';
import { throwError, type Observable } from 'rxjs';

/** Ties these handlers to this server: no other transport of a hybrid application registers them. */
export const portalEventsTransport = Symbol('PORTAL_EVENTS');

export const PORTAL_HANDLER_KEY = 'portalEventsHandler';

/** One object per decorated method, carried in `extras`: Nest registers one function per pattern of it. */
export interface PortalHandlerExtras {
  readonly merge: boolean;
  readonly maxEntries: number;
}

/** The maximum that one Bitrix24 batch request reads: 50 commands of 50 items. */
const LARGEST_BATCH = 2_500;

/**
 * By default Nest replaces whatever a handler threw by `Internal server error`; the retry decision needs the original
 * error. Applied to the method, so that it also works in hybrid applications without `inheritAppConfig`.
 */
@Catch()
class RethrowFilter implements RpcExceptionFilter<unknown> {
  catch(exception: unknown): Observable<never> {
    return throwError(() => exception);
  }
}

/** Canonical spelling, so that two methods for one event are detected. @throws EventError */
function canonicalName(eventName: string): string {
  const { name, entityTypeId } = parseEventName(eventName);
  return formatEventName(name, entityTypeId);
}

/**
 * Makes a controller's method the handler of these events: `(batch: PortalBatch) => Promise<void | FailedEntry[]>`. It
 * throws when the whole batch failed, or returns the failed entries, and those that it has postponed; entries not listed are done. It may be called
 * again for entries that it has completed, so it must be idempotent. `names` are base (`ONCRMDYNAMICITEMADD`) or
 * suffixed (`ONCRMDYNAMICITEMADD_147`); the suffixed handler takes precedence.
 *
 * `merge` (default true): pending events of one entity become one entry, with the latest data that say more than its id.
 * False, for what must be seen one by one: one entry per event, with its data, in order. `maxEntries`: at most 2,500.
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
