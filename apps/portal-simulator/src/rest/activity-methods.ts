import { ACTIVITY_FIELDS } from '../fields/standard-sets.js';
import { argument, integerOf, isTruthy, textOf, type Value, type Values } from '../protocol/php.js';
import { missingItem, RestError } from '../protocol/rest-error.js';
import { actorOf, parseSelect, requiredFields, userIdOf, type Call, type Method } from './method.js';
import { listRows } from './row-list.js';

/** `crm.activity.*` (api-reference/crm/timeline/activities/activity-base/): deprecated, but in use. */
export const activityMethods: Record<string, Method> = {
  'crm.activity.list'({ portal, params }) {
    const { rows, ...page } = listRows(portal.crm.activities.all(), ACTIVITY_FIELDS, {
      filter: argument(params, 'filter'),
      order: argument(params, 'order') ?? { START_TIME: 'ASC' },
      start: argument(params, 'start'),
    });
    const select = parseSelect(argument(params, 'select'));
    return { result: rows.map((row) => show(row, select)), ...page };
  },

  'crm.activity.add'(call) {
    const fields = requiredFields(call.params);
    requireField(fields, 'SUBJECT', 'empty', (value) => textOf(value)?.trim() !== '');
    for (const name of ['RESPONSIBLE_ID', 'TYPE_ID', 'OWNER_TYPE_ID', 'OWNER_ID']) {
      requireField(fields, name, 'invalid', (value) => (integerOf(value) ?? 0) > 0);
    }
    requireField(fields, 'COMMUNICATIONS', 'invalid', isTruthy);
    requireOwner(call, fields);
    return { result: call.portal.crm.addActivity(fields, userIdOf(call.caller), actorOf(call)) };
  },
};

function requireField(fields: Values, name: string, fault: string, isValid: (value: Value) => boolean): void {
  const value = fields[name];
  if (value !== undefined && value !== null && isValid(value)) return;
  throw new RestError('', `The field ${name} is not defined or ${fault}`);
}

function requireOwner({ portal }: Call, fields: Values): void {
  const [entityTypeId = 0, id = 0] = ['OWNER_TYPE_ID', 'OWNER_ID'].map((name) => integerOf(fields[name]));
  if (!portal.crm.items(entityTypeId).get(id)) throw missingItem();
}

/** COMMUNICATIONS only if it is selected (crm-activity-list.md). */
function show(row: Values, select: readonly string[] | undefined): Values {
  const names = select ?? Object.keys(row).filter((name) => name !== 'COMMUNICATIONS');
  return Object.fromEntries(names.filter((name) => name in row).map((name) => [name, row[name] ?? null]));
}
