import type { FieldSet } from '../fields/field-set.js';
import type { StandardField, UserField } from '../fields/field.js';
import { parseFilter } from '../items/filter.js';
import type { ItemStore } from '../items/item-store.js';
import { treeOf, type Values } from '../protocol/php.js';
import { accessDenied } from '../protocol/rest-error.js';
import { fileView, ItemView, namingOf, type Naming } from './item-view.js';
import {
  actorOf,
  nextStart,
  PAGE_SIZE,
  parseOrder,
  parseStart,
  requiredFields,
  requiredInteger,
  parseSelect,
  userIdOf,
  type Call,
  type Method,
} from './method.js';

/** `crm.item.*` (api-reference/crm/universal/) */
export const itemMethods: Record<string, Method> = {
  /** Hidden items are neither listed nor counted. */
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
      next: nextStart(offset, page.total),
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
    if (portal.crm.rights.isTypeHidden(userIdOf(caller), store.entityTypeId)) throw viewDenied();
    return {
      result: {
        fields: describeFields(
          store,
          portal.crm.pipelines.defaultDirectory(store.entityTypeId),
          namingOf(params, store.fields),
        ),
      },
    };
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
 * `select`, where `*` means all fields and `uf_*` all user fields. Only `*` selects `fm`, its name does not
 * (api-reference/crm/universal/crm-item-list.md).
 */
function selectedFields({ params }: Call, { fields }: ItemStore): string[] | undefined {
  const naming = namingOf(params, fields);
  return parseSelect(params['select'])
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

/** The id of the item in a call. @throws RestError NOT_FOUND; ACCESS_DENIED if it is hidden from the user */
function visibleId({ portal, params, caller }: Call, { entityTypeId }: ItemStore): number {
  const { id } = portal.crm.item(entityTypeId, requiredInteger(params, 'id'));
  if (portal.crm.rights.hiddenFrom(userIdOf(caller), entityTypeId)?.(id) === true) throw viewDenied();
  return id;
}

function viewDenied() {
  return accessDenied('You do not have permission to view this item');
}

/**
 * `crm.item.fields` (api-reference/crm/universal/crm-item-fields.md; user fields and the options of an enumeration:
 * crm-item-add.md, “Custom fields used in the example”).
 */
function describeFields({ fields }: ItemStore, stages: string, naming: Naming): Values {
  const described: Values = {};
  for (const field of fields.standardFields()) {
    if (field.isHidden === true || fields.isDisabled(field.name)) continue;
    described[field.name] = describeStandard(field, stages);
  }
  Object.assign(described, describeParents(fields));
  for (const field of fields.userFields()) described[naming.shown(field.name)] = describeUserField(field);
  return described;
}

function describeStandard(field: StandardField, stages: string): Values {
  const { name, type, title, settings } = field;
  const isStage = name === 'stageId' || name === 'previousStageId';
  return {
    type,
    isRequired: field.isRequired === true,
    isReadOnly: field.isReadOnly === true,
    isImmutable: false,
    isMultiple: field.isMultiple === true,
    isDynamic: false,
    ...(type === 'crm_status' && { statusType: isStage ? stages : (field.statusType ?? '') }),
    title,
    ...(settings && { settings }),
    upperName: upperName(name),
  };
}

function describeParents(fields: FieldSet): Values {
  const parents = fields.parents().map(({ entityTypeId, title }): [string, Values] => {
    const settings = { parentEntityTypeId: entityTypeId };
    const field = { name: `parentId${entityTypeId}`, type: 'crm_entity', title, settings };
    return [field.name, { ...describeStandard(field, ''), upperName: `PARENT_ID_${entityTypeId}` }];
  });
  return Object.fromEntries(parents);
}

function describeUserField(field: UserField): Values {
  return {
    type: field.type,
    isRequired: field.isMandatory,
    isReadOnly: false,
    isImmutable: false,
    isMultiple: field.isMultiple,
    isDynamic: true,
    ...(field.type === 'enumeration' && {
      items: field.items.map(({ id, value }) => ({ ID: String(id), VALUE: value })),
    }),
    title: field.label,
    listLabel: field.label,
    formLabel: field.label,
    filterLabel: field.label,
    settings: field.settings,
    upperName: field.fieldName,
  };
}

function upperName(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
