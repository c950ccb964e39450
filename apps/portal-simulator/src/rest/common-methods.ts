import { PORTAL_USERS } from '../crm/users.js';
import { EVENT_SCOPES } from '../events/event-names.js';
import { showApplication } from '../oauth/installation.js';
import { argument, isTruthy, textOf } from '../protocol/php.js';
import { RestError } from '../protocol/rest-error.js';
import { formatTimestamp } from '../protocol/timestamp.js';
import { isAdministrator, userIdOf, type Call, type Method } from './method.js';

/** Methods about the application, the user and the portal (api-reference/common/). */
export const applicationMethods: Record<string, Method> = {
  'app.info'({ caller, clientId }) {
    if (caller.kind === 'webhook') {
      throw new RestError('ACCESS_DENIED', 'Access denied! Application context required');
    }
    return { result: showApplication(caller.access.installation, clientId) };
  },

  profile(call) {
    const id = userIdOf(call.caller);
    const { name = '', lastName = '' } = PORTAL_USERS.find((user) => user.id === id) ?? {};
    const profile = { NAME: name, LAST_NAME: lastName, PERSONAL_GENDER: '', TIME_ZONE: '' };
    return { result: { ID: String(id), ADMIN: isAdministrator(call), ...profile } };
  },

  'user.admin': (call) => ({ result: isAdministrator(call) }),

  'server.time': ({ nowMs }) => ({ result: formatTimestamp(nowMs) }),

  /** `Y`, `N`, or `<language>_selfhosted` on premise (api-reference/common/system/feature-get.md). */
  'feature.get'({ portal, params }) {
    const code = textOf(argument(params, 'code')) ?? '';
    if (code === '') throw new RestError('CODE_EMPTY', "CODE can't be empty");
    return { result: { value: portal.settings.features[code] ?? 'N' } };
  },
};

const USER_SCOPES = ['user', 'user_basic', 'user_brief'];

/** The scopes of which a method needs one; empty if every application may call it. */
function scopesOf(method: string): readonly string[] {
  const [group = ''] = method.split('.', 1);
  if (group === 'crm' || group === 'userfieldconfig') return [group];
  if (group === 'im') return ['im'];
  if (group === 'tasks') return ['task'];
  return method === 'user.current' || method === 'user.get' ? USER_SCOPES : [];
}

/** An incoming webhook has every scope. */
export function mayCall({ portal, caller }: Pick<Call, 'portal' | 'caller'>, method: string): boolean {
  const scopes = scopesOf(method);
  if (caller.kind === 'webhook' || scopes.length === 0) return true;
  return scopes.some((scope) => portal.settings.scope.includes(scope));
}

/** `scope`, `methods` and `method.get` (api-reference/common/system/). */
export function methodListMethods(others: readonly string[]): Record<string, Method> {
  const names = [...others, 'scope', 'methods', 'method.get'];
  return {
    scope: ({ portal, params }) => ({
      result: isTruthy(argument(params, 'full'))
        ? [...new Set([...names.flatMap(scopesOf), ...EVENT_SCOPES, ...portal.settings.scope])].filter(
            Boolean,
          )
        : portal.settings.scope,
    }),

    /** The methods of `scope`, even if it is empty; all with `full`; else those that the caller may call. */
    methods(call) {
      const scope = argument(call.params, 'scope');
      if (scope !== undefined) {
        const requestedScope = textOf(scope) ?? '';
        return { result: names.filter((name) => hasScope(requestedScope, name)) };
      }
      if (isTruthy(argument(call.params, 'full'))) return { result: names };
      return { result: names.filter((name) => mayCall(call, name)) };
    },

    'method.get'(call) {
      const name = textOf(argument(call.params, 'name'))?.toLowerCase() ?? '';
      const isExisting = names.includes(name);
      return { result: { isExisting, isAvailable: isExisting && mayCall(call, name) } };
    },
  };
}

function hasScope(scope: string, method: string): boolean {
  const scopes = scopesOf(method);
  return scope === '' ? scopes.length === 0 : scopes.includes(scope);
}
