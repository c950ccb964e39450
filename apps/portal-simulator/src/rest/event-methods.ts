import { integerOf, textOf, type Values } from '../php.js';
import { applicationOf, argument, causeOf, type Call, type Method } from './method.js';
import { missingArgument, RestError } from './rest-error.js';

/** `event.*` and `events` (api-reference/events/): with an application's authorization only. */
export const eventMethods: Record<string, Method> = {
  events(call) {
    applicationOf(call);
    return { result: call.portal.availableEvents(textOf(argument(call.params, 'scope'))) };
  },

  'event.bind'(call) {
    const { installation } = applicationOf(call);
    refuseOffline(call.params);
    const event = requiredText(call, 'event').toUpperCase();
    const url = requiredText(call, 'handler');
    if (!call.portal.availableEvents().includes(event)) {
      throw new RestError('ERROR_EVENT_NOT_FOUND', 'Event not found');
    }
    if (!/^https?:\/\/[^/]/i.test(url) || !URL.canParse(url)) {
      throw new RestError('ERROR_UNSUPPORTED_PROTOCOL', 'Unsupported event handler protocol');
    }
    const authType = integerOf(argument(call.params, 'auth_type')) ?? 0;
    if (!call.portal.handlers.bind(event, url, { kind: 'application', installation, authType })) {
      throw new RestError('ERROR_CORE', 'Unable to set event handler: Handler already binded');
    }
    return { result: true };
  },

  'event.unbind'(call) {
    applicationOf(call);
    const event = textOf(argument(call.params, 'event'))?.toUpperCase();
    const url = textOf(argument(call.params, 'handler'));
    const authTypeGiven = argument(call.params, 'auth_type');
    const authType = authTypeGiven === undefined ? undefined : (integerOf(authTypeGiven) ?? 0);
    const count = call.portal.handlers.remove(
      (handler) =>
        handler.owner.kind === 'application' &&
        (event ?? handler.event) === handler.event &&
        (url ?? handler.url) === handler.url &&
        (authType ?? handler.owner.authType) === handler.owner.authType,
    );
    return { result: { count } };
  },

  'event.get'(call) {
    applicationOf(call);
    const bound = call.portal.handlers.all().flatMap(({ event, url, owner }): Values[] => {
      if (owner.kind !== 'application') return [];
      return [{ event, handler: url, auth_type: String(owner.authType), offline: 0 }];
    });
    return { result: bound };
  },

  /** ONAPPTEST with whatever was passed, in `data[QUERY]` (test-handler.md). */
  'event.test'(call) {
    applicationOf(call);
    const { auth: _, ...query } = call.params;
    call.portal.announce('ONAPPTEST', { QUERY: query }, causeOf(call));
    return { result: 1 };
  },
};

/** Bitrix24's offline queue is not played here, and a binding that is never served would be a lie. */
function refuseOffline(params: Values): void {
  if (textOf(argument(params, 'event_type'))?.toLowerCase() !== 'offline') return;
  throw new RestError('ERROR_ARGUMENT', 'The simulator has no offline events');
}

function requiredText(call: Call, name: string): string {
  const value = textOf(argument(call.params, name));
  if (value === undefined || value === '') throw missingArgument(name.toUpperCase());
  return value;
}
