import type { UserField } from '../fields/user-field.js';
import type { Value, Values } from '../protocol/php.js';

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
