import type { MessageHandler } from '@nestjs/microservices';
import { namesEntity, parseEventName } from '@relay/bus';
import { isObservable, lastValueFrom } from 'rxjs';
import type { FailedEntry, PortalBatch, PostponedEntry } from '../scheduler/batch.js';
import type { EventHandler } from '../scheduler/run-batch.js';
import { PORTAL_HANDLER_KEY, type PortalHandlerExtras } from './on-portal-events.decorator.js';

/** The consumer's controllers are declared wrongly: it must not start. */
export class HandlerSetupError extends Error {
  override readonly name = 'HandlerSetupError';
  constructor(
    readonly code: 'NO_HANDLERS' | 'DUPLICATE_HANDLER',
    message: string,
  ) {
    super(message);
  }
}

/** Groups Nest's functions, one per event name, into handlers, one per method. @throws HandlerSetupError */
export function gatherHandlers(
  consumer: string,
  messageHandlers: ReadonlyMap<string, MessageHandler>,
): EventHandler[] {
  const methods = new Map<PortalHandlerExtras, { names: string[]; callback: MessageHandler }>();
  for (const [name, callback] of messageHandlers) {
    const extras = extrasOf(callback);
    if (!extras) continue;
    if (callback.next) {
      throw new HandlerSetupError(
        'DUPLICATE_HANDLER',
        `Consumer ${consumer} has two methods for ${name}: a delivery is settled by one of them. Make one call the other, or make it a consumer of its own.`,
      );
    }
    const method = methods.get(extras);
    if (method) method.names.push(name);
    else methods.set(extras, { names: [name], callback });
  }
  if (methods.size === 0) {
    throw new HandlerSetupError(
      'NO_HANDLERS',
      `Consumer ${consumer} has no method under @OnPortalEvents: is its controller listed in a module?`,
    );
  }
  return [...methods].map(([rules, { names, callback }]) => ({
    ...rules,
    names,
    handle: (batch) => call(callback, batch),
  }));
}

/** The events of handlers that merge which name no thing, or are unknown, and so are never merged. */
export function findUnmergeable(handlers: readonly EventHandler[]): string[] {
  return handlers
    .filter(({ merge }) => merge)
    .flatMap(({ names }) => names)
    .filter((name) => !namesEntity(parseEventName(name).name));
}

function extrasOf(callback: MessageHandler): PortalHandlerExtras | undefined {
  const extras: Record<string, PortalHandlerExtras | undefined> | undefined = callback.extras;
  return extras?.[PORTAL_HANDLER_KEY];
}

/**
 * Nest's function resolves to the method's result, or to an Observable of it (from an interceptor) or of its error.
 */
async function call(
  callback: MessageHandler,
  batch: PortalBatch,
): Promise<readonly (FailedEntry | PostponedEntry)[]> {
  const returned: unknown = await callback(batch);
  const result: unknown = isObservable(returned)
    ? await lastValueFrom(returned, { defaultValue: undefined })
    : returned;
  if (result === undefined || result === null) return [];
  if (Array.isArray(result) && result.every(isUndoneEntry)) return result;
  throw new TypeError(
    'A handler of portal events returns nothing or a list of { entity, error } and { entity, isPostponed: true }',
  );
}

function isUndoneEntry(value: unknown): value is FailedEntry | PostponedEntry {
  return (
    typeof value === 'object' &&
    value !== null &&
    'entity' in value &&
    typeof value.entity === 'string' &&
    ('error' in value || ('isPostponed' in value && value.isPostponed === true))
  );
}
