import type { FieldOfType } from '../crm/crm.js';
import { isUserFieldType, type UserField } from '../fields/field.js';
import type { NewOption } from '../fields/user-fields.js';
import { integerOf, isTree, listOf, textOf, treeOf, type Value, type Values } from '../protocol/php.js';
import { missingParameter, RestError } from '../protocol/rest-error.js';
import {
  actorOf,
  nextOf,
  PAGE_SIZE,
  parseStart,
  requiredInteger,
  userIdOf,
  type Call,
  type Method,
} from './method.js';

/**
 * `userfieldconfig.*` of the module `crm` (api-reference/crm/universal/userfieldconfig/): for administrators, and with a permission
 * of its own. Errors have no code.
 */
export const userFieldMethods: Record<string, Method> = {
  'userfieldconfig.list'(call) {
    admit(call);
    const { entityId } = treeOf(call.params['filter']);
    const { offset, count } = parseStart(call.params['start']);
    const fields = call.portal.crm.objects
      .everyUserFields()
      .flatMap(({ userFields }) => userFields.all())
      .filter((field) => entityId === undefined || field.entityId === entityId)
      .toSorted((left, right) => left.sort - right.sort || left.id - right.id);
    const total = count ? fields.length : undefined;
    const page = fields.slice(offset, offset + PAGE_SIZE);
    return {
      result: { fields: page.map((field) => listed(showUserField(field))) },
      next: nextOf(offset, total),
      total,
    };
  },

  'userfieldconfig.get'(call) {
    admit(call);
    const { field } = known(call, 'You do not have permission to view user field settings');
    return { result: { field: showUserField(field) } };
  },

  'userfieldconfig.add'(call) {
    admit(call);
    const order = fieldOf(call);
    const type = required(order, 'userTypeId', 'USER_TYPE_ID');
    const fieldName = required(order, 'fieldName', 'FIELD_NAME');
    const entityId = textOf(order['entityId']) ?? '';
    const entityTypeId = call.portal.crm.userFields.entityTypeOf(entityId);
    const isNamed = fieldName.startsWith(`UF_${entityId}_`) && /^[A-Z\d_]{1,50}$/.test(fieldName);
    if (entityTypeId === undefined || !isNamed) throw refusal('You cannot create custom fields');
    if (!isUserFieldType(type)) throw refusal('Fail to create new user field');
    const field = call.portal.crm.userFields.add(
      entityTypeId,
      {
        fieldName,
        type,
        isMultiple: order['multiple'] === 'Y',
        xmlId: textOf(order['xmlId']),
        ...changeIn(order),
      },
      actorOf(call),
    );
    if (!field) throw refusal(`Field ${fieldName} for object ${entityId} already exists`);
    return { result: { field: showUserField(field) } };
  },

  'userfieldconfig.update'(call) {
    admit(call);
    const field = known(call, 'You do not have permission to modify user field settings');
    const changed = call.portal.crm.userFields.update(field, changeIn(fieldOf(call)), actorOf(call));
    return { result: { field: showUserField(changed) } };
  },

  'userfieldconfig.delete'(call) {
    admit(call);
    call.portal.crm.userFields.delete(known(call, 'You cannot delete the user field'), actorOf(call));
    return { result: null };
  },
};

function admit({ portal, caller, params }: Call): void {
  if (textOf(params['moduleId']) !== 'crm') throw missingParameter('moduleId');
  if (!portal.crm.rights.isAdministrator(userIdOf(caller))) throw refusal('Access denied');
}

/** One that is gone is refused as one that may not be seen. */
function known({ portal, params }: Call, complaint: string): FieldOfType {
  const field = portal.crm.userFields.ofId(requiredInteger(params, 'id'));
  if (!field) throw refusal(complaint);
  return field;
}

function fieldOf({ params }: Call): Values {
  const { field } = params;
  if (!isTree(field)) throw missingParameter('field');
  return field;
}

function changeIn(order: Values) {
  const label = order['editFormLabel'];
  const mandatory = textOf(order['mandatory']);
  return {
    label: textOf(label) ?? textOf(Object.values(treeOf(label))[0]),
    isMandatory: mandatory === undefined ? undefined : mandatory === 'Y',
    sort: integerOf(order['sort']),
    settings: isTree(order['settings']) ? order['settings'] : undefined,
    items: order['enum'] === undefined ? undefined : listOf(order['enum']).flatMap((one) => optionOf(one)),
  };
}

function optionOf(given: Value): NewOption[] {
  const option = treeOf(given);
  const value = textOf(option['value']);
  if (value === undefined) return [];
  const def = textOf(option['def']);
  return [
    {
      id: integerOf(option['id']),
      value,
      isDefault: def === undefined ? undefined : def === 'Y',
      sort: integerOf(option['sort']),
      xmlId: textOf(option['xmlId']),
    },
  ];
}

function required(order: Values, name: string, shown: string): string {
  const text = textOf(order[name]) ?? '';
  if (text === '') throw refusal(`The '${shown}' field is not found.`);
  return text;
}

/** A list shows neither labels nor options (userfieldconfig-list.md). */
function listed(field: Values): Values {
  const names =
    'id entityId fieldName userTypeId xmlId sort multiple mandatory showFilter showInList editInList isSearchable settings';
  return Object.fromEntries(names.split(' ').map((name) => [name, field[name] ?? null]));
}

function refusal(description: string): RestError {
  return new RestError('', description);
}

const LANGUAGE = 'en';

/** `field` of userfieldconfig.* (api-reference/crm/universal/userfieldconfig/userfieldconfig-get.md). */
export function showUserField(field: UserField): Values {
  return {
    id: String(field.id),
    entityId: field.entityId,
    fieldName: field.fieldName,
    userTypeId: field.type,
    xmlId: field.xmlId,
    sort: String(field.sort),
    multiple: flag(field.isMultiple),
    mandatory: flag(field.isMandatory),
    showFilter: 'N',
    showInList: 'Y',
    editInList: 'Y',
    isSearchable: 'N',
    settings: field.settings,
    languageId: inLanguage(LANGUAGE),
    editFormLabel: inLanguage(field.label),
    listColumnLabel: inLanguage(field.label),
    listFilterLabel: inLanguage(field.label),
    errorMessage: inLanguage(null),
    helpMessage: inLanguage(null),
    ...(field.type === 'enumeration' && {
      enum: field.items.map(({ id, value, isDefault, sort, xmlId }) => ({
        id: String(id),
        userFieldId: String(field.id),
        value,
        def: flag(isDefault),
        sort: String(sort),
        xmlId,
      })),
    }),
  };
}

function flag(is: boolean): string {
  return is ? 'Y' : 'N';
}

function inLanguage(text: Value): Values {
  return { [LANGUAGE]: text };
}
