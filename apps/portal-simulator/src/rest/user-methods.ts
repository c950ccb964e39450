import { PORTAL_USERS, type PortalUser } from '../crm/users.js';
import { USER_FIELDS } from '../fields/standard-sets.js';
import { argument, isTruthy, textOf, treeOf, type Value, type Values } from '../protocol/php.js';
import { parseSelect, userIdOf, type Call, type Method } from './method.js';
import { listRows } from './row-list.js';

/** `user.*` (api-reference/user/): what is shown depends on the scope. */
export const userMethods: Record<string, Method> = {
  'user.get'(call) {
    const { params } = call;
    const isDescending = textOf(argument(params, 'order'))?.toUpperCase() === 'DESC';
    const sort = textOf(argument(params, 'sort')) ?? 'ID';
    const { rows, ...page } = listRows(
      PORTAL_USERS.map((user) => rowOf(user)),
      USER_FIELDS,
      {
        filter: filterOf(argument(params, 'filter')),
        order: { [USER_FIELDS.kindOf(sort) ? sort : 'ID']: isDescending ? 'DESC' : 'ASC' },
        start: argument(params, 'start'),
      },
    );
    const select = parseSelect(argument(params, 'select'));
    return { result: rows.map((row) => show(call, row, select)), ...page };
  },

  'user.current'(call) {
    const user = PORTAL_USERS.find(({ id }) => id === userIdOf(call.caller));
    return { result: user ? show(call, rowOf(user)) : { ID: String(userIdOf(call.caller)), ACTIVE: true } };
  },
};

/** `ACTIVE` is given as a boolean. */
function filterOf(given: Value | undefined): Values {
  return Object.fromEntries(
    Object.entries(treeOf(given)).map(([key, value]): [string, Value] =>
      key.toUpperCase().endsWith('ACTIVE')
        ? [key, isTruthy(value) && textOf(value) !== 'false' && textOf(value) !== 'N' ? 'Y' : 'N']
        : [key, value],
    ),
  );
}

function rowOf({ id, name, lastName, position }: PortalUser): Values {
  return {
    ID: String(id),
    XML_ID: '',
    ACTIVE: 'Y',
    NAME: name,
    LAST_NAME: lastName,
    SECOND_NAME: '',
    TITLE: '',
    EMAIL: `user${id}@example.com`,
    IS_ONLINE: id === 1 ? 'Y' : 'N',
    TIME_ZONE: '',
    DATE_REGISTER: '2024-01-01T00:00:00+00:00',
    PERSONAL_GENDER: '',
    PERSONAL_MOBILE: '',
    WORK_PHONE: `+1555010${String(id).padStart(4, '0')}`,
    WORK_POSITION: position,
    UF_DEPARTMENT: [1],
    USER_TYPE: 'employee',
  };
}

/** Not in the scope `user_brief` (user-scope.md). */
const CONTACT_DETAILS = ['EMAIL', 'PERSONAL_MOBILE', 'WORK_PHONE'];

function show({ portal, caller }: Call, row: Values, select?: readonly string[]): Values {
  const seesContacts =
    caller.kind === 'webhook' ||
    ['user', 'user_basic'].some((scope) => portal.settings.scope.includes(scope));
  const shown = Object.entries(row)
    .filter(([name]) => (seesContacts || !CONTACT_DETAILS.includes(name)) && (select?.includes(name) ?? true))
    .map(([name, value]): [string, Value] => [name, name === 'ACTIVE' ? value === 'Y' : value]);
  return Object.fromEntries(shown);
}
