import type { FieldSet } from '../fields/field-set.js';
import type { StandardField } from '../fields/standard-field.js';
import type { UserField } from '../fields/user-field.js';
import type { ItemStore } from '../items/item-store.js';
import { textOf, type Values } from '../protocol/php.js';
import type { Naming } from './naming.js';

/**
 * `crm.item.fields` (api-reference/crm/universal/crm-item-fields.md; user fields, and the items of an enumeration, as
 * crm-item-add.md shows them under “Custom fields used in the example”).
 */
export function describeFields(store: ItemStore, naming: Naming): Values {
  const { fields, entityTypeId } = store;
  const category = textOf(store.defaults['categoryId']) ?? '';
  const described: Values = {};
  for (const field of fields.standardFields()) {
    if (field.isHidden === true || fields.isDisabled(field.name)) continue;
    described[field.name] = describeStandard(field, `DYNAMIC_${entityTypeId}_STAGE_${category}`);
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
    ...(type === 'crm_status' && { statusType: isStage ? stages : 'SOURCE' }),
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
