import { parseFilter } from '../filter.js';
import type { FieldSet } from '../field-set.js';
import { contactFields, smartProcessItemFields } from '../fields.js';
import type { Item, ItemStore } from '../item-store.js';
import type { Values } from '../php.js';
import { contactTypeId } from '../portal.js';
import {
  causeOf,
  nextOf,
  pageSize,
  parseOrder,
  parseStart,
  requiredFields,
  requiredInteger,
  selected,
  type Method,
} from './method.js';

/** `crm.item.*` (api-reference/crm/universal/) */
export const itemMethods: Record<string, Method> = {
  'crm.item.list'({ portal, params }) {
    const entityTypeId = requiredInteger(params, 'entityTypeId');
    const store = portal.items(entityTypeId);
    const fields = fieldsOf(entityTypeId);
    const { offset, count } = parseStart(params['start']);
    const filter = parseFilter(params['filter'], fields);
    const page = store.page(filter, parseOrder(params['order'], fields), offset, pageSize, count);
    const select = selected(params['select']);
    return {
      result: { items: page.items.map((item) => showItem(store, item, select)) },
      next: nextOf(offset, page.total),
      total: page.total,
    };
  },

  'crm.item.get'({ portal, params }) {
    const store = portal.items(requiredInteger(params, 'entityTypeId'));
    return {
      result: { item: showItem(store, portal.item(store.entityTypeId, requiredInteger(params, 'id'))) },
    };
  },

  'crm.item.add'(call) {
    const store = call.portal.items(requiredInteger(call.params, 'entityTypeId'));
    const item = call.portal.addItem(store.entityTypeId, requiredFields(call.params), causeOf(call));
    return { result: { item: showItem(store, item) } };
  },

  'crm.item.update'(call) {
    const { portal, params } = call;
    const store = portal.items(requiredInteger(params, 'entityTypeId'));
    const id = requiredInteger(params, 'id');
    const item = portal.updateItem(store.entityTypeId, id, requiredFields(params), causeOf(call));
    return { result: { item: showItem(store, item) } };
  },

  'crm.item.delete'(call) {
    const entityTypeId = requiredInteger(call.params, 'entityTypeId');
    call.portal.deleteItem(entityTypeId, requiredInteger(call.params, 'id'), causeOf(call));
    return { result: [] };
  },
};

/** An item as `crm.item.*` shows it; only the fields of `select`, if there is one. 2,500 of them make one batch. */
export function showItem(store: ItemStore, item: Item, select?: readonly string[]): Values {
  const fields = fieldsOf(store.entityTypeId);
  const shown: Values = {};
  for (const name of select ?? fields.names) {
    if (!select || fields.kindOf(name)) shown[name] = store.valueOf(item, name);
  }
  if (!select) {
    for (const name of Object.keys(item.fields))
      if (!fields.has(name)) shown[name] = store.valueOf(item, name);
  }
  return shown;
}

function fieldsOf(entityTypeId: number): FieldSet {
  return entityTypeId === contactTypeId ? contactFields : smartProcessItemFields;
}
