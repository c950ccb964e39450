import { showSmartProcess, smartProcessValue, type SmartProcess } from '../crm/smart-processes.js';
import { SMART_PROCESS_FIELDS } from '../fields/standard-sets.js';
import { comparableKey, isWithin, parseFilter } from '../items/filter.js';
import type { Order } from '../items/item.js';
import { integerOf } from '../protocol/php.js';
import { accessDenied, missingParameter, RestError } from '../protocol/rest-error.js';
import {
  actorOf,
  nextStart,
  PAGE_SIZE,
  parseOrder,
  parseStart,
  requiredFields,
  requiredInteger,
  isAdministrator,
  type Call,
  type Method,
} from './method.js';

/** `crm.type.*` (api-reference/crm/universal/user-defined-object-types/): for administrators of the CRM. */
export const typeMethods: Record<string, Method> = {
  'crm.type.list'(call) {
    const { portal, params } = requireAdministrator(call);
    const filter = parseFilter(params['filter'], SMART_PROCESS_FIELDS);
    const orders = parseOrder(params['order'], SMART_PROCESS_FIELDS);
    const { offset, count } = parseStart(params['start']);
    const matching = portal.crm.types
      .all()
      .filter(({ id, updatedAtMs }) => isWithin(filter, id, updatedAtMs))
      .filter((type) => filter.test?.((field) => smartProcessValue(type, field)) ?? true)
      .toSorted((left, right) => compare(left, right, orders));
    const total = count ? matching.length : undefined;
    const types = matching.slice(offset, offset + PAGE_SIZE).map((type) => showSmartProcess(type));
    return { result: { types }, next: nextStart(offset, total), total };
  },

  'crm.type.get'(call) {
    return { result: { type: showSmartProcess(typeOf(call)) } };
  },

  'crm.type.getbyentitytypeid'(call) {
    const { portal, params } = requireAdministrator(call);
    const type = portal.crm.types.findByEntityType(requiredInteger(params, 'entityTypeId'));
    if (!type) throw unknownType();
    return { result: { type: showSmartProcess(type) } };
  },

  'crm.type.add'(call) {
    const fields = requiredFields(requireAdministrator(call).params);
    if (fields['title'] === undefined) throw missingParameter('title');
    const type = call.portal.crm.addType(integerOf(fields['entityTypeId']), fields, actorOf(call));
    return { result: { type: showSmartProcess(type) } };
  },

  'crm.type.update'(call) {
    const type = typeOf(call);
    call.portal.crm.updateType(type, requiredFields(call.params), actorOf(call));
    return { result: { type: showSmartProcess(type) } };
  },

  'crm.type.delete'(call) {
    call.portal.crm.deleteType(typeOf(call), actorOf(call));
    return { result: [] };
  },
};

function requireAdministrator(call: Call): Call {
  if (isAdministrator(call)) return call;
  throw accessDenied();
}

function typeOf(call: Call): SmartProcess {
  const { portal, params } = requireAdministrator(call);
  const type = portal.crm.types.get(requiredInteger(params, 'id'));
  if (!type) throw unknownType();
  return type;
}

/** Unlike `crm.item.*`, these methods send no error code (crm-type-get.md). */
function unknownType(): RestError {
  return new RestError('0', 'SPA not found');
}

function compare(left: SmartProcess, right: SmartProcess, orders: readonly Order[]): number {
  for (const { field, descending } of orders) {
    const kind = SMART_PROCESS_FIELDS.kindOf(field) ?? 'string';
    const a = comparableKey(smartProcessValue(left, field), kind);
    const b = comparableKey(smartProcessValue(right, field), kind);
    if (a !== b) return a < b === descending ? 1 : -1;
  }
  return left.id - right.id;
}
