import { showApplication } from '../oauth/installation.js';
import { argument, textOf } from '../protocol/php.js';
import { RestError } from '../protocol/rest-error.js';
import { formatTimestamp } from '../protocol/timestamp.js';
import { isAdministrator, userIdOf, type Method } from './method.js';

/** What every portal answers to anyone (api-reference/common/). */
export const applicationMethods: Record<string, Method> = {
  'app.info'({ caller, clientId }) {
    if (caller.kind === 'webhook') {
      throw new RestError('ACCESS_DENIED', 'Access denied! Application context required');
    }
    return { result: showApplication(caller.access.installation, clientId) };
  },

  profile({ caller }) {
    const profile = { NAME: 'Olena', LAST_NAME: 'Koval', PERSONAL_GENDER: 'F', TIME_ZONE: '' };
    return { result: { ID: String(userIdOf(caller)), ADMIN: isAdministrator(caller), ...profile } };
  },

  'user.current'({ caller }) {
    const person = {
      ACTIVE: true,
      NAME: 'Olena',
      LAST_NAME: 'Koval',
      PERSONAL_GENDER: 'F',
      UF_DEPARTMENT: [1],
    };
    return { result: { ID: String(userIdOf(caller)), ...person } };
  },

  'user.admin': ({ caller }) => ({ result: isAdministrator(caller) }),

  'server.time': ({ nowMs }) => ({ result: formatTimestamp(nowMs) }),

  /** `Y`, `N`, or of a portal on premise `<language>_selfhosted` (api-reference/common/system/feature-get.md). */
  'feature.get'({ portal, params }) {
    const code = textOf(argument(params, 'code')) ?? '';
    if (code === '') throw new RestError('CODE_EMPTY', "CODE can't be empty");
    return { result: { value: portal.settings.features[code] ?? 'N' } };
  },
};
