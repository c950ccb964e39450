import { integerOf, isTree, listOf, textOf, type Value } from '../protocol/php.js';
import { invalidFieldValue, notIterable } from '../protocol/rest-error.js';
import { normalizeDate, normalizeTimestamp } from '../protocol/timestamp.js';
import {
  kindOfStandard,
  kindOfUserField,
  type FieldKind,
  type StandardField,
  type UserField,
} from './field.js';
import { writeMultifields } from './multifields.js';
import type { UserFields } from './user-fields.js';

/** An object type whose items can be parents (`parentId<entityTypeId>`) of items of another type. */
export interface Parent {
  entityTypeId: number;
  title: string;
}

export interface FieldSetDependencies {
  /** If absent, any name `ufCrm…` is a text field. */
  userFields?: UserFields;
  /** Whether this setting of the object type is on. */
  hasSetting?: (setting: string) => boolean;
  parents?: () => Parent[];
  /** The id for a newly written file. */
  nextFile?: () => number;
  /** The id for a newly written phone, e-mail, …; always 0 if absent. */
  nextMultifield?: () => number;
}

interface Standard extends StandardField {
  kind: FieldKind;
}

/** The fields of one object type: names as `crm.item.*` spells them, kinds, default values. */
export class FieldSet {
  private readonly standard: ReadonlyMap<string, Standard>;
  private readonly standardNames: readonly string[];

  constructor(
    fields: readonly StandardField[],
    private readonly dependencies: FieldSetDependencies = {},
  ) {
    this.standard = new Map(fields.map((field) => [field.name, { ...field, kind: kindOfStandard(field) }]));
    this.standardNames = [...this.standard.keys()];
  }

  get names(): string[] {
    const parents = this.parents().map(({ entityTypeId }) => `parentId${entityTypeId}`);
    return [...this.standardNames, ...parents, ...this.userFields().map(({ name }) => name)];
  }

  standardFields(): StandardField[] {
    return [...this.standard.values()];
  }

  parents(): Parent[] {
    return this.dependencies.parents?.() ?? [];
  }

  userFields(): UserField[] {
    return this.dependencies.userFields?.all() ?? [];
  }

  userField(name: string): UserField | undefined {
    return this.dependencies.userFields?.get(name);
  }

  /**
   * The name of a field that is written in a filter or an order. Standard fields can be written in upper case, too
   * (`ID`, `STAGE_ID`): the `crm` module accepts both. Any other name is returned unchanged.
   */
  canonicalName(written: string): string {
    const name = /^[A-Z][A-Z\d_]*$/.test(written) ? camelCase(written) : written;
    return this.standard.has(name) ? name : written;
  }

  has(name: string): boolean {
    return this.standard.has(name) || this.userField(name) !== undefined;
  }

  /** Disabled fields are always null (api-reference/crm/universal/crm-item-add.md). */
  isDisabled(name: string): boolean {
    const setting = this.standard.get(name)?.onlyIf;
    return setting !== undefined && this.dependencies.hasSetting?.(setting) === false;
  }

  /** Any parent field (`parentId…`) is known: portals differ in them. */
  kindOf(name: string): FieldKind | undefined {
    const known = this.standard.get(name);
    if (known) return known.kind;
    const userField = this.userField(name);
    if (userField) return kindOfUserField(userField);
    if (/^parentId\d+$/.test(name)) return 'number';
    return !this.dependencies.userFields && /^ufCrm\w+$/.test(name) ? 'string' : undefined;
  }

  defaultOf(name: string): Value {
    const known = this.standard.get(name);
    if (known) return known.defaultValue ?? (known.kind === 'list' ? [] : null);
    const userField = this.userField(name);
    return userField ? emptyUserValue(userField) : null;
  }

  isWritable(name: string): boolean {
    return this.kindOf(name) !== undefined && this.standard.get(name)?.isReadOnly !== true;
  }

  /**
   * Converts a written value to the stored one: forms send every scalar as a string, responses show numbers as numbers.
   * @param read the values before, which only multifields (`fm`) depend on
   * @throws RestError CRM_FIELD_ERROR_VALUE_NOT_VALID
   */
  toStored(name: string, value: Value, read: (field: string) => Value = () => null): Value {
    const userField = this.userField(name);
    const { nextFile = () => 0, nextMultifield = () => 0 } = this.dependencies;
    if (userField) return toStoredUserValue(userField, value, nextFile);
    if (this.standard.get(name)?.type === 'crm_multifield')
      return writeMultifields(read(name), value, nextMultifield);
    const kind = this.kindOf(name);
    if (kind === 'list') return listOf(value);
    const text = textOf(value);
    if (text === undefined) return value;
    switch (kind) {
      case 'number':
        return text === '' || Number.isNaN(Number(text)) ? null : Number(text);
      case 'flag':
        return text === 'Y' || text === '1' ? 'Y' : 'N';
      case 'date':
      case 'datetime':
        return text === '' ? null : requireTimestamp(name, kind, text);
      default:
        return name.startsWith('ufCrm') ? value : text;
    }
  }
}

function camelCase(upper: string): string {
  return upper.toLowerCase().replaceAll(/_([a-z\d])/g, (_, letter: string) => letter.toUpperCase());
}

function requireTimestamp(name: string, kind: 'date' | 'datetime', text: string): string {
  const moment = kind === 'date' ? normalizeDate(text) : normalizeTimestamp(text);
  if (moment === undefined) throw invalidFieldValue(name);
  return moment;
}

/** The value of a field without a value. */
function emptyUserValue({ type, isMultiple }: UserField): Value {
  if (isMultiple) return [];
  return type === 'boolean' ? 'N' : null;
}

/**
 * Converts a written value to the form of crm.item.* (crm-item-add.md, crm-item-update.md; for files
 * how-to-update-files.md). @throws RestError CRM_FIELD_ERROR_VALUE_NOT_VALID; 100 for a scalar where the field takes
 * many values
 */
function toStoredUserValue(field: UserField, value: Value, nextFile: () => number): Value {
  if (!field.isMultiple) return toStoredOne(field, value, nextFile);
  if (value === null || value === '') return [];
  if (!Array.isArray(value) && !isTree(value)) throw notIterable(typeof value);
  return listOf(value)
    .map((one) => toStoredOne(field, one, nextFile))
    .filter((one) => one !== null);
}

function toStoredOne(field: UserField, value: Value, nextFile: () => number): Value {
  if (field.type === 'file') return toStoredFile(field, value, nextFile);
  if (value === null) return emptyUserValue({ ...field, isMultiple: false });
  const text = textOf(value);
  if (text === undefined) throw invalidFieldValue(field.name);
  if (text.trim() === '' && field.type !== 'boolean') return field.type === 'string' ? text : null;
  switch (field.type) {
    case 'boolean':
      return text === 'Y' || text === '1' || text === 'true' ? 'Y' : 'N';
    case 'double':
      return finite(field, Number(text));
    case 'integer':
    case 'employee':
    case 'iblock_section':
    case 'iblock_element':
      return whole(field, text);
    case 'enumeration':
      return option(field, text);
    case 'date':
      return normalizeDate(text) ?? invalid(field);
    case 'datetime':
      return normalizeTimestamp(text) ?? invalid(field);
    default:
      return text;
  }
}

/** `[name, content]` is a new file, whose content is not stored; `{id}` keeps an existing file. */
function toStoredFile(field: UserField, value: Value, nextFile: () => number): Value {
  if (value === null || value === '') return null;
  const id = isTree(value) ? integerOf(value['id']) : undefined;
  if (id !== undefined) return { id };
  if (listOf(value).length !== 2) return invalid(field);
  return { id: nextFile() };
}

function option(field: UserField, text: string): number {
  const id = whole(field, text);
  return field.items.some((item) => item.id === id) ? id : invalid(field);
}

function whole(field: UserField, text: string): number {
  return integerOf(text) ?? invalid(field);
}

function finite(field: UserField, number: number): number {
  return Number.isFinite(number) ? number : invalid(field);
}

function invalid(field: UserField): never {
  throw invalidFieldValue(field.name);
}
