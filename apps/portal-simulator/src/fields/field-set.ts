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
import type { UserFields } from './user-fields.js';

/** An object type whose items can be parents (`parentId<entityTypeId>`) of those of another. */
export interface Parent {
  entityTypeId: number;
  title: string;
}

export interface FieldSetDependencies {
  /** Without them any name `ufCrm…` is a text, as of a portal whose fields nobody described. */
  userFields?: UserFields;
  /** Whether the object type has what the setting of this name gives it. */
  has?: (setting: string) => boolean;
  parents?: () => Parent[];
  /** The id of a file that was written. */
  nextFile?: () => number;
}

interface Standard extends StandardField {
  kind: FieldKind;
}

/** The fields of one kind of thing: their names as `crm.item.*` spells them, their kinds, what is there by default. */
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
   * A filter and an order may write the names of standard fields in upper case as well, `ID` or `STAGE_ID`: the `crm`
   * module turns either way of writing into one. Anything else is given back as it is.
   */
  named(written: string): string {
    const name = /^[A-Z][A-Z\d_]*$/.test(written) ? camelCase(written) : written;
    return this.standard.has(name) ? name : written;
  }

  has(name: string): boolean {
    return this.standard.has(name) || this.userField(name) !== undefined;
  }

  /** Disabled fields are always null (api-reference/crm/universal/crm-item-add.md). */
  isDisabled(name: string): boolean {
    const setting = this.standard.get(name)?.onlyIf;
    return setting !== undefined && this.dependencies.has?.(setting) === false;
  }

  /** A parent's field (`parentId…`) counts as known: portals differ in them. */
  kindOf(name: string): FieldKind | undefined {
    const known = this.standard.get(name);
    if (known) return known.kind;
    const custom = this.userField(name);
    if (custom) return kindOfUserField(custom);
    if (/^parentId\d+$/.test(name)) return 'number';
    return !this.dependencies.userFields && /^ufCrm\w+$/.test(name) ? 'string' : undefined;
  }

  defaultOf(name: string): Value {
    const known = this.standard.get(name);
    if (known) return known.initial ?? (known.kind === 'list' ? [] : null);
    const custom = this.userField(name);
    return custom ? emptyUserValue(custom) : null;
  }

  isWritable(name: string): boolean {
    return this.kindOf(name) !== undefined && this.standard.get(name)?.isReadOnly !== true;
  }

  /**
   * What is stored for a written value: forms bring every scalar as a string, answers show numbers as numbers.
   * @throws RestError CRM_FIELD_ERROR_VALUE_NOT_VALID
   */
  stored(name: string, value: Value): Value {
    const custom = this.userField(name);
    if (custom) return storedUserValue(custom, value, this.dependencies.nextFile ?? (() => 0));
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

/** What a field shows for which nothing was given. */
function emptyUserValue({ type, isMultiple }: UserField): Value {
  if (isMultiple) return [];
  return type === 'boolean' ? 'N' : null;
}

/**
 * What is kept of a written value, in the form that crm.item.* shows (crm-item-add.md, crm-item-update.md, and for
 * files how-to-update-files.md). @throws RestError CRM_FIELD_ERROR_VALUE_NOT_VALID; 100 for a scalar where many are due
 */
function storedUserValue(field: UserField, value: Value, nextFile: () => number): Value {
  if (!field.isMultiple) return storedOne(field, value, nextFile);
  if (value === null || value === '') return [];
  if (!Array.isArray(value) && !isTree(value)) throw notIterable(typeof value);
  return listOf(value)
    .map((one) => storedOne(field, one, nextFile))
    .filter((one) => one !== null);
}

function storedOne(field: UserField, value: Value, nextFile: () => number): Value {
  if (field.type === 'file') return storedFile(field, value, nextFile);
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

/** `[name, content]` is a new file; `{id}` keeps the one that is there. The content itself is not kept. */
function storedFile(field: UserField, value: Value, nextFile: () => number): Value {
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
