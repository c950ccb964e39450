import { withoutTokens } from '../http/http-server.js';
import { OFFLINE_SIGNAL } from '../events/event-names.js';
import { argument, integerOf, isTruthy, textOf, treeOf, type Values } from '../protocol/php.js';
import { administratorRequired, missingArgument, RestError } from '../protocol/rest-error.js';
import { actorOf, applicationOf, connectorOf, isAdministrator, type Call, type Method } from './method.js';

const EVENT_TYPES = ['online', 'offline'];

/** `event.*` and `events` (api-reference/events/): for applications only. */
export const eventMethods: Record<string, Method> = {
  /**
   * Without parameters: the events of the application's scopes. `FULL` is ignored if `SCOPE` is given, even an empty
   * one.
   */
  events(call) {
    applicationOf(call);
    const { portal, params } = call;
    const scope = argument(params, 'SCOPE');
    if (scope !== undefined) return { result: portal.availableEvents({ scope: textOf(scope) ?? '' }) };
    return { result: portal.availableEvents(isTruthy(argument(params, 'FULL')) ? 'all' : 'application') };
  },

  'event.bind'(call) {
    const { installation, userId } = applicationOf(call);
    const { portal, params, request, nowMs } = call;
    const given = integerOf(argument(params, 'auth_type')) ?? 0;
    if (given > 0 && given !== userId && !isAdministrator(call)) {
      throw administratorRequired('Event binding with AUTH_TYPE');
    }
    const authType = given > 0 || isAdministrator(call) ? given : userId;
    const event = requiredText(call, 'event').toUpperCase();
    if (eventType(call) === 'offline') return bindOffline(call, event);
    const url = requiredText(call, 'handler');
    checkHandlerUrl(url);
    if (!portal.availableEvents('application').includes(event)) {
      throw new RestError('ERROR_EVENT_NOT_FOUND', 'Event not found');
    }
    const { handlers, settings } = portal;
    if (!handlers.startBinding([event, url, authType].join('|'), request, nowMs, settings.latencyMs)) {
      throw bindFailed('Process of binding the handler has already started');
    }
    const minTimeout = event === OFFLINE_SIGNAL ? minTimeoutOf(call) : undefined;
    if (!handlers.bind(event, url, { kind: 'application', installation, authType }, minTimeout)) {
      throw bindFailed('Handler already binded');
    }
    return { result: true };
  },

  /** Without `auth_type`, an administrator unbinds handlers of all users, other users only their own. */
  'event.unbind'(call) {
    const { userId } = applicationOf(call);
    const event = requiredText(call, 'event').toUpperCase();
    if (eventType(call) === 'offline') {
      requireOfflineAdministrator(call, 'unbinding');
      return { result: { count: call.portal.offline.unbind(event, connectorOf(call)) } };
    }
    const url = requiredText(call, 'handler');
    const authTypeGiven = argument(call.params, 'auth_type');
    const given = authTypeGiven === undefined ? undefined : (integerOf(authTypeGiven) ?? 0);
    if (given !== undefined && given !== userId && !isAdministrator(call)) {
      throw administratorRequired('Event unbinding with AUTH_TYPE');
    }
    const authType = given ?? (isAdministrator(call) ? undefined : userId);
    const count = call.portal.handlers.remove(
      (handler) =>
        handler.owner.kind === 'application' &&
        event === handler.event &&
        url === handler.url &&
        (authType ?? handler.owner.authType) === handler.owner.authType,
    );
    return { result: { count } };
  },

  /** An administrator gets all handlers, other users only their own. */
  'event.get'(call) {
    const { userId } = applicationOf(call);
    const bound = call.portal.handlers.all().flatMap(({ event, url, owner }): Values[] => {
      if (owner.kind !== 'application') return [];
      if (owner.authType !== userId && !isAdministrator(call)) return [];
      return [{ event, handler: url, auth_type: String(owner.authType), offline: 0 }];
    });
    const offline = isAdministrator(call) ? call.portal.offline.handlers() : [];
    const shown = offline.map(({ event, connector }) => ({ event, connector_id: connector, offline: 1 }));
    return { result: [...bound, ...shown] };
  },

  /** Emits ONAPPTEST with all parameters in `data[QUERY]` (test-handler.md). */
  'event.test'(call) {
    applicationOf(call);
    const { portal, params } = call;
    const data = { QUERY: withoutTokens(params), LANGUAGE_ID: portal.settings.language };
    portal.emit('ONAPPTEST', data, actorOf(call));
    return { result: 1 };
  },
};

function eventType({ params }: Call): string {
  const given = textOf(argument(params, 'event_type'))?.toLowerCase() ?? '';
  if (given === '') return 'online';
  if (EVENT_TYPES.includes(given)) return given;
  throw new RestError('ERROR_ARGUMENT', `Value must be one of {${EVENT_TYPES.join('|')}}`);
}

/** `handler` and `auth_type` are ignored. */
function bindOffline(call: Call, event: string): { result: true } {
  requireOfflineAdministrator(call, 'binding');
  const { portal } = call;
  if (event === OFFLINE_SIGNAL) {
    throw new RestError('ERROR_ARGUMENT', 'Offline event cannot be registered for this event');
  }
  if (!portal.availableEvents('application').includes(event)) {
    throw new RestError('ERROR_EVENT_NOT_FOUND', 'Event not found');
  }
  const { userId } = applicationOf(call);
  if (!portal.offline.bind({ event, userId, connector: connectorOf(call) })) {
    throw bindFailed('Handler already binded');
  }
  return { result: true };
}

function requireOfflineAdministrator(call: Call, what: string): void {
  if (!isAdministrator(call)) throw administratorRequired(`Offline events ${what}`);
}

/** Seconds between two signals; 0: one for each request. */
function minTimeoutOf({ params }: Call): number {
  const given = integerOf(argument(treeOf(argument(params, 'options')), 'minTimeout'));
  return given === undefined || given < 0 ? 1 : given;
}

/** Scheme and host as PHP's `parse_url` returns them. */
const ADDRESS = /^([a-z][a-z\d+.-]*):\/\/(?:[^/?#@]*@)?([^/?#:]*)/i;

/** Checks only that the host has a dot: `localhost` is rejected (event-bind.md). @throws RestError */
function checkHandlerUrl(url: string): void {
  const [, scheme = '', host = ''] = ADDRESS.exec(url) ?? [];
  if (host.indexOf('.') <= 0) throw new RestError('ERROR_WRONG_HANDLER_URL', 'Wrong handler URL');
  if (scheme === 'http' || scheme === 'https') return;
  throw new RestError('ERROR_UNSUPPORTED_PROTOCOL', 'Unsupported handler protocol');
}

function bindFailed(why: string): RestError {
  return new RestError('ERROR_CORE', `Unable to set event handler: ${why}`);
}

function requiredText(call: Call, name: string): string {
  const value = textOf(argument(call.params, name));
  if (value === undefined || value === '') throw missingArgument(name.toUpperCase());
  return value;
}
