import { CONTACT_TYPE_ID } from '../fields/standard-sets.js';
import { parseFilter } from '../items/filter.js';
import type { Item } from '../items/item.js';
import type { Portal } from '../portal/portal.js';
import { argument, integerOf, isTree, textOf, type Value, type Values } from '../protocol/php.js';
import { RestError } from '../protocol/rest-error.js';
import { actorOf, nextStart, PAGE_SIZE, parseOrder, parseStart, parseSelect, type Method } from './method.js';

/**
 * `crm.contact.*` (api-reference/crm/contacts/): deprecated, but in use. Names are upper case, every scalar is a
 * string.
 */
export const contactMethods: Record<string, Method> = {
  'crm.contact.list'({ portal, params }) {
    const store = portal.crm.items(CONTACT_TYPE_ID);
    const { offset, count } = parseStart(argument(params, 'start'));
    const filter = parseFilter(translated(argument(params, 'filter')), store.fields);
    const orders = parseOrder(translated(argument(params, 'order')), store.fields);
    const page = store.page({ filter, orders, offset, limit: PAGE_SIZE, count });
    const select = parseSelect(argument(params, 'select'));
    return {
      result: page.items.map((item) => showContact(portal, item, select)),
      next: nextStart(offset, page.total),
      total: page.total,
    };
  },

  'crm.contact.get'({ portal, params }) {
    return { result: showContact(portal, requireContact(portal, params, 'Not found')) };
  },

  'crm.contact.add'(call) {
    const item = call.portal.crm.addItem(CONTACT_TYPE_ID, fieldsParameter(call.params), actorOf(call));
    return { result: item.id };
  },

  'crm.contact.update'(call) {
    const { id } = requireContact(call.portal, call.params, 'Contact is not found');
    call.portal.crm.updateItem(CONTACT_TYPE_ID, id, fieldsParameter(call.params), actorOf(call));
    return { result: true };
  },

  'crm.contact.delete'(call) {
    const { id } = requireContact(call.portal, call.params, 'Contact is not found');
    call.portal.crm.deleteItem(CONTACT_TYPE_ID, id, actorOf(call));
    return { result: true };
  },
};

const RENAMED: Readonly<Record<string, string>> = {
  DATE_CREATE: 'createdTime',
  DATE_MODIFY: 'updatedTime',
  CREATED_BY_ID: 'createdBy',
  MODIFY_BY_ID: 'updatedBy',
};
const ORIGINAL = new Map(Object.entries(RENAMED).map(([classic, universal]) => [universal, classic]));

function universalName(classic: string): string {
  const upper = classic.toUpperCase();
  if (upper.startsWith('UF_CRM_')) return `ufCrm_${upper.slice('UF_CRM_'.length)}`;
  return (
    RENAMED[upper] ??
    upper.toLowerCase().replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
  );
}

function classicName(universal: string): string {
  if (universal.startsWith('ufCrm_')) return `UF_CRM_${universal.slice('ufCrm_'.length)}`;
  return ORIGINAL.get(universal) ?? universal.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

/** Renames the keys of a filter, an order or fields to those of `crm.item.*`; prefixes of a filter stay. */
function translated(given: Value | undefined): Values {
  if (!isTree(given)) return {};
  const entries = Object.entries(given).map(([key, value]): [string, Value] => {
    const [, prefix = '', name = ''] = /^([!<=>@%]*)(.*)$/s.exec(key) ?? [];
    return [prefix + universalName(name), value];
  });
  return Object.fromEntries(entries);
}

function fieldsParameter(params: Values): Values {
  const fields = argument(params, 'fields');
  if (!isTree(fields)) throw new RestError('', "Parameter 'fields' must be array");
  return translated(fields);
}

function requireContact(portal: Portal, params: Values, description: string): Item {
  const item = portal.crm.items(CONTACT_TYPE_ID).get(integerOf(argument(params, 'id')) ?? 0);
  if (!item) throw new RestError('', description);
  return item;
}

function showContact(portal: Portal, item: Item, select?: readonly string[]): Values {
  const store = portal.crm.items(CONTACT_TYPE_ID);
  const names = select?.map(universalName) ?? [...store.fields.names, ...Object.keys(item.fields)];
  const visible = names.filter((name) => store.fields.kindOf(name) && name !== 'entityTypeId');
  return Object.fromEntries(
    visible.map((name) => {
      const value = store.valueOf(item, name);
      return [classicName(name), textOf(value) ?? value];
    }),
  );
}
