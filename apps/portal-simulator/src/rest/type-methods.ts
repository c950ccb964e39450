import { smartProcessFields } from '../fields.js';
import { comparable, parseFilter } from '../filter.js';
import { integerOf } from '../php.js';
import { showSmartProcess, smartProcessValue, type SmartProcess } from '../smart-processes.js';
import {
  causeOf,
  nextOf,
  pageSize,
  parseOrder,
  parseStart,
  requiredFields,
  requiredInteger,
  type Call,
  type Method,
} from './method.js';
import { missingParameter, unknownSmartProcess } from './rest-error.js';
import type { Order } from '../item-store.js';

/** `crm.type.*` (api-reference/crm/universal/user-defined-object-types/) */
export const typeMethods: Record<string, Method> = {
  'crm.type.list'({ portal, params }) {
    const { ids, above, below, test } = parseFilter(params['filter'], smartProcessFields);
    const orders = parseOrder(params['order'], smartProcessFields);
    const { offset, count } = parseStart(params['start']);
    const matching = portal.types
      .all()
      .filter(({ id }) => id > above && id < below && (ids?.includes(id) ?? true))
      .filter((type) => test?.((field) => smartProcessValue(type, field)) ?? true)
      .toSorted((left, right) => compare(left, right, orders));
    const total = count ? matching.length : undefined;
    const types = matching.slice(offset, offset + pageSize).map((type) => showSmartProcess(type));
    return { result: { types }, next: nextOf(offset, total), total };
  },

  'crm.type.get'(call) {
    return { result: { type: showSmartProcess(typeOf(call)) } };
  },

  'crm.type.getbyentitytypeid'({ portal, params }) {
    const type = portal.types.ofEntityType(requiredInteger(params, 'entityTypeId'));
    if (!type) throw unknownSmartProcess();
    return { result: { type: showSmartProcess(type) } };
  },

  'crm.type.add'(call) {
    const fields = requiredFields(call.params);
    if (fields['title'] === undefined) throw missingParameter('title');
    const type = call.portal.addType(integerOf(fields['entityTypeId']), fields, causeOf(call));
    return { result: { type: showSmartProcess(type) } };
  },

  'crm.type.update'(call) {
    const type = typeOf(call);
    call.portal.updateType(type, requiredFields(call.params), causeOf(call));
    return { result: { type: showSmartProcess(type) } };
  },

  'crm.type.delete'(call) {
    call.portal.deleteType(typeOf(call), causeOf(call));
    return { result: [] };
  },
};

function typeOf({ portal, params }: Call): SmartProcess {
  const type = portal.types.get(requiredInteger(params, 'id'));
  if (!type) throw unknownSmartProcess();
  return type;
}

function compare(left: SmartProcess, right: SmartProcess, orders: readonly Order[]): number {
  for (const { field, descending } of orders) {
    const kind = smartProcessFields.kindOf(field) ?? 'string';
    const a = comparable(smartProcessValue(left, field) ?? '', kind, field);
    const b = comparable(smartProcessValue(right, field) ?? '', kind, field);
    if (a !== b) return a < b === descending ? 1 : -1;
  }
  return left.id - right.id;
}
