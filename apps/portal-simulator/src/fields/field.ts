import type { Value, Values } from '../protocol/php.js';

/**
 * How values of a field are stored and compared. `flag`: Y or N; `userFlag`: shown as Y or N, but a filter takes 1 or 0
 * (api-reference/crm/universal/crm-item-list.md); `date`: a timestamp at the beginning of a day.
 */
export type FieldKind = 'number' | 'string' | 'datetime' | 'date' | 'flag' | 'userFlag' | 'list' | 'object';

/** A field that every portal has (api-reference/crm/universal/crm-item-fields.md). */
export interface StandardField {
  name: string;
  /** The type in `crm.item.fields`: `integer`, `crm_status`, … */
  type: string;
  title: string;
  /** Set by Bitrix24: a written value is ignored. */
  isReadOnly?: boolean;
  isMultiple?: boolean;
  isRequired?: boolean;
  /** Null, or an empty list, if absent. */
  defaultValue?: Value;
  settings?: Values;
  /** `ENTITY_ID` in crm.status.list of the values of a `crm_status`; of a stage it depends on the object type. */
  statusType?: string;
  /** The setting of a smart process that enables the field (object-fields.md#spa). */
  onlyIf?: string;
  /** Shown with an item, but not listed by `crm.item.fields`. */
  isHidden?: boolean;
}

const NUMBER_TYPES =
  'integer double user location crm_company crm_contact crm_category crm_entity crm_lead crm_deal crm_quote'.split(
    ' ',
  );

export function kindOfStandard({ type, isMultiple }: StandardField): FieldKind {
  if (isMultiple === true) return 'list';
  if (NUMBER_TYPES.includes(type)) return 'number';
  if (type === 'boolean') return 'flag';
  if (type === 'date' || type === 'datetime') return type;
  return 'string';
}

const KINDS = {
  string: 'string',
  integer: 'number',
  double: 'number',
  boolean: 'userFlag',
  date: 'date',
  datetime: 'datetime',
  money: 'string',
  url: 'string',
  address: 'string',
  enumeration: 'number',
  file: 'object',
  crm: 'string',
  crm_status: 'string',
  employee: 'number',
  iblock_section: 'number',
  iblock_element: 'number',
} as const satisfies Record<string, FieldKind>;

/** The types of userfieldconfig.getTypes (api-reference/crm/universal/userfieldconfig/userfieldconfig-get-types.md). */
export type UserFieldType = keyof typeof KINDS;

export const USER_FIELD_TYPES: readonly UserFieldType[] = [
  'string',
  'integer',
  'double',
  'boolean',
  'date',
  'datetime',
  'money',
  'url',
  'address',
  'enumeration',
  'file',
  'crm',
  'crm_status',
  'employee',
  'iblock_section',
  'iblock_element',
];

/** One option of a list. */
export interface EnumerationItem {
  readonly id: number;
  value: string;
  isDefault: boolean;
  sort: number;
  xmlId: string;
}

/** A field that users of a portal added to one CRM object type. */
export interface UserField {
  /** The id of its settings, unique in the portal: the parameter of userfieldconfig.get. */
  readonly id: number;
  /** `CRM_5`, by the primary key of the smart process; `CRM_SMART_INVOICE`. */
  readonly entityId: string;
  /** `UF_CRM_5_1720019876534` */
  readonly fieldName: string;
  /** Its name in crm.item.*: `ufCrm5_1720019876534`. */
  readonly name: string;
  readonly type: UserFieldType;
  readonly isMultiple: boolean;
  readonly xmlId: string | null;
  label: string;
  isMandatory: boolean;
  sort: number;
  settings: Values;
  /** Options, if the type is `enumeration`. */
  items: readonly EnumerationItem[];
}

export function isUserFieldType(text: string): text is UserFieldType {
  return Object.hasOwn(KINDS, text);
}

export function kindOfUserField({ type, isMultiple }: UserField): FieldKind {
  return isMultiple ? 'list' : KINDS[type];
}

/**
 * The name of a user field in crm.item.* (api-reference/crm/universal/index.md, “Field Naming Conventions”): only digits or only
 * letters after the object's number are turned into camel case; of any other name only the prefix changes.
 */
export function restName(fieldName: string): string {
  const [, number, tail = ''] = /^UF_CRM_(\d+)_(\d+(?:_\d+)*|[A-Z]+(?:_[A-Z]+)*)$/.exec(fieldName) ?? [];
  if (number === undefined) return fieldName.replace(/^UF_CRM_/, 'ufCrm_');
  if (/^\d/.test(tail)) return `ufCrm${number}_${tail}`;
  const words = tail.split('_').map((word) => word.charAt(0) + word.slice(1).toLowerCase());
  return `ufCrm${number}${words.join('')}`;
}
