import type { Values } from '../protocol/php.js';
import type { FieldKind } from './field-kind.js';

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

/** Of userfieldconfig.getTypes (api-reference/crm/universal/userfieldconfig/userfieldconfig-get-types.md). */
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

/** A field that a portal's users gave to one CRM object type. */
export interface UserField {
  /** Of its settings, unique in the portal: what userfieldconfig.get asks for. */
  readonly id: number;
  /** `CRM_5`, by the primary key of the smart process; `CRM_SMART_INVOICE`. */
  readonly entityId: string;
  /** `UF_CRM_5_1720019876534` */
  readonly fieldName: string;
  /** The same as crm.item.* spells it: `ufCrm5_1720019876534`. */
  readonly name: string;
  readonly type: UserFieldType;
  readonly isMultiple: boolean;
  readonly xmlId: string | null;
  label: string;
  isMandatory: boolean;
  sort: number;
  settings: Values;
  /** Of an enumeration. */
  items: readonly EnumerationItem[];
}

export function isUserFieldType(text: string): text is UserFieldType {
  return Object.hasOwn(KINDS, text);
}

export function kindOfUserField({ type, isMultiple }: UserField): FieldKind {
  return isMultiple ? 'list' : KINDS[type];
}

export function kindOfOneValue({ type }: UserField): FieldKind {
  return KINDS[type];
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
