import { parseFilter } from '../items/filter.js';
import type { ItemStore } from '../items/item-store.js';
import { treeOf } from '../protocol/php.js';
import { accessDenied } from '../protocol/rest-error.js';
import { describeFields } from './field-descriptions.js';
import { fileView } from './files.js';
import { ItemView } from './item-view.js';
import {
  actorOf,
  nextOf,
  PAGE_SIZE,
  parseOrder,
  parseStart,
  requiredFields,
  requiredInteger,
  selected,
  userIdOf,
  type Call,
  type Method,
} from './method.js';
import { namingOf } from './naming.js';

/** `crm.item.*` (api-reference/crm/universal/) */
export const itemMethods: Record<string, Method> = {
  /** What a user may not see is not in the list, and is not counted. */
  'crm.item.list'(call) {
    const { portal, params, caller } = call;
    const store = storeOf(call);
    const naming = namingOf(params, store.fields);
    const { offset, count } = parseStart(params['start']);
    const page = store.page({
      filter: parseFilter(naming.filter(params['filter']), store.fields),
      orders: parseOrder(naming.keys(treeOf(params['order'])), store.fields),
      offset,
      limit: PAGE_SIZE,
      count,
      isHidden: portal.crm.rights.hiddenFrom(userIdOf(caller), store.entityTypeId),
    });
    const view = viewOf(call, store, selectedFields(call, store));
    return {
      result: { items: page.items.map((item) => view.show(item)) },
      next: nextOf(offset, page.total),
      total: page.total,
    };
  },

  'crm.item.get'(call) {
    const store = storeOf(call);
    const item = call.portal.crm.item(store.entityTypeId, visibleId(call, store));
    return { result: { item: viewOf(call, store).show(item) } };
  },

  'crm.item.fields'(call) {
    const store = storeOf(call);
    const { portal, caller, params } = call;
    if (portal.crm.rights.seesNothing(userIdOf(caller), store.entityTypeId)) throw mayNotView();
    return { result: { fields: describeFields(store, namingOf(params, store.fields)) } };
  },

  'crm.item.add'(call) {
    const store = storeOf(call);
    const fields = namingOf(call.params, store.fields).keys(requiredFields(call.params));
    const item = call.portal.crm.addItem(store.entityTypeId, fields, actorOf(call));
    return { result: { item: viewOf(call, store).show(item) } };
  },

  'crm.item.update'(call) {
    const store = storeOf(call);
    const id = visibleId(call, store);
    const fields = namingOf(call.params, store.fields).keys(requiredFields(call.params));
    const item = call.portal.crm.updateItem(store.entityTypeId, id, fields, actorOf(call));
    return { result: { item: viewOf(call, store).show(item) } };
  },

  'crm.item.delete'(call) {
    const store = storeOf(call);
    call.portal.crm.deleteItem(store.entityTypeId, visibleId(call, store), actorOf(call));
    return { result: [] };
  },
};

function storeOf({ portal, params }: Call): ItemStore {
  return portal.crm.items(requiredInteger(params, 'entityTypeId'));
}

/**
 * `select`, where `*` is everything and `uf_*` every user field. `fm` comes with `*` alone, and not by its name
 * (api-reference/crm/universal/crm-item-list.md).
 */
function selectedFields({ params }: Call, { fields }: ItemStore): string[] | undefined {
  const naming = namingOf(params, fields);
  return selected(params['select'])
    ?.flatMap((written) =>
      written.toLowerCase() === 'uf_*' ? fields.userFields().map(({ name }) => name) : naming.name(written),
    )
    .filter((name) => name !== 'fm');
}

function viewOf(call: Call, store: ItemStore, select?: readonly string[]): ItemView {
  const naming = namingOf(call.params, store.fields);
  return new ItemView(store, {
    select,
    shown: (name) => naming.shown(name),
    showFile: fileView(call),
  });
}

/** The item that a call means. @throws RestError ACCESS_DENIED when it is there, but not for this user */
function visibleId({ portal, params, caller }: Call, { entityTypeId }: ItemStore): number {
  const { id } = portal.crm.item(entityTypeId, requiredInteger(params, 'id'));
  if (portal.crm.rights.hiddenFrom(userIdOf(caller), entityTypeId)?.(id) === true) throw mayNotView();
  return id;
}

function mayNotView() {
  return accessDenied('You do not have permission to view this item');
}
