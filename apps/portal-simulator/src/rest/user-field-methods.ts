import type { FieldOfType } from '../crm/crm.js';
import { isUserFieldType, type UserField } from '../fields/field.js';
import type { NewOption } from '../fields/user-fields.js';
import { integerOf, isTree, listOf, textOf, treeOf, type Value, type Values } from '../protocol/php.js';
import { missingParameter, RestError } from '../protocol/rest-error.js';
import {
  actorOf,
  nextStart,
  PAGE_SIZE,
  parseStart,
  requiredInteger,
  isAdministrator,
  type Call,
  type Method,
} from './method.js';

/**
 * `userfieldconfig.*` of the module `crm` (api-reference/crm/universal/userfieldconfig/): for administrators, with a
 * scope of its own. Errors have no code.
 */
export const userFieldMethods: Record<string, Method> = {
  'userfieldconfig.list'(call) {
    requireAdministrator(call);
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
      result: { fields: page.map((field) => toListEntry(showUserField(field))) },
      next: nextStart(offset, total),
      total,
    };
  },

  'userfieldconfig.get'(call) {
    requireAdministrator(call);
    const { field } = requireField(call, 'You do not have permission to view user field settings');
    return { result: { field: showUserField(field) } };
  },

  'userfieldconfig.add'(call) {
    requireAdministrator(call);
    const given = fieldParameter(call);
    const type = requiredText(given, 'userTypeId', 'USER_TYPE_ID');
    const fieldName = requiredText(given, 'fieldName', 'FIELD_NAME');
    const entityId = textOf(given['entityId']) ?? '';
    const entityTypeId = call.portal.crm.userFields.entityTypeOf(entityId);
    if (entityTypeId === undefined) throw rejection('You cannot create custom fields');
    const { prefix } = call.portal.crm.objects.userFields(entityTypeId);
    const isNamed = fieldName.startsWith(prefix) && /^[A-Z\d_]{1,50}$/.test(fieldName);
    if (!isNamed) throw rejection('You cannot create custom fields');
    if (!isUserFieldType(type)) throw rejection('Fail to create new user field');
    const field = call.portal.crm.userFields.add(
      entityTypeId,
      {
        fieldName,
        type,
        isMultiple: given['multiple'] === 'Y',
        xmlId: textOf(given['xmlId']),
        ...parseChange(given),
      },
      actorOf(call),
    );
    if (!field) throw rejection(`Field ${fieldName} for object ${entityId} already exists`);
    return { result: { field: showUserField(field) } };
  },

  'userfieldconfig.update'(call) {
    requireAdministrator(call);
    const field = requireField(call, 'You do not have permission to modify user field settings');
    const changed = call.portal.crm.userFields.update(
      field,
      parseChange(fieldParameter(call)),
      actorOf(call),
    );
    return { result: { field: showUserField(changed) } };
  },

  'userfieldconfig.delete'(call) {
    requireAdministrator(call);
    call.portal.crm.userFields.delete(requireField(call, 'You cannot delete the user field'), actorOf(call));
    return { result: null };
  },
};

function requireAdministrator({ portal, caller, params }: Call): void {
  if (textOf(params['moduleId']) !== 'crm') throw missingParameter('moduleId');
  if (!isAdministrator({ portal, caller })) throw rejection('Access denied');
}

/** A field that does not exist is rejected like one that the caller may not see. */
function requireField({ portal, params }: Call, description: string): FieldOfType {
  const field = portal.crm.userFields.findById(requiredInteger(params, 'id'));
  if (!field) throw rejection(description);
  return field;
}

function fieldParameter({ params }: Call): Values {
  const { field } = params;
  if (!isTree(field)) throw missingParameter('field');
  return field;
}

function parseChange(given: Values) {
  const label = given['editFormLabel'];
  const mandatory = textOf(given['mandatory']);
  return {
    label: textOf(label) ?? textOf(Object.values(treeOf(label))[0]),
    isMandatory: mandatory === undefined ? undefined : mandatory === 'Y',
    sort: integerOf(given['sort']),
    settings: isTree(given['settings']) ? given['settings'] : undefined,
    items: given['enum'] === undefined ? undefined : listOf(given['enum']).flatMap((one) => parseOption(one)),
  };
}

function parseOption(given: Value): NewOption[] {
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

function requiredText(given: Values, name: string, shownName: string): string {
  const text = textOf(given[name]) ?? '';
  if (text === '') throw rejection(`The '${shownName}' field is not found.`);
  return text;
}

/** A list shows neither labels nor options (userfieldconfig-list.md). */
function toListEntry(field: Values): Values {
  const names =
    'id entityId fieldName userTypeId xmlId sort multiple mandatory showFilter showInList editInList isSearchable settings';
  return Object.fromEntries(names.split(' ').map((name) => [name, field[name] ?? null]));
}

function rejection(description: string): RestError {
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
