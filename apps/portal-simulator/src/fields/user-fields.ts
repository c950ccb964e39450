import type { Values } from '../protocol/php.js';
import { restName, type EnumerationItem, type UserField, type UserFieldType } from './field.js';

/** The last ids that one portal gave to user fields, to options of lists, to files, and to phones and the like. */
export interface Sequences {
  field: number;
  option: number;
  file: number;
  multifield: number;
}

export interface NewUserField {
  fieldName: string;
  type: UserFieldType;
  label?: string | undefined;
  isMultiple?: boolean | undefined;
  isMandatory?: boolean | undefined;
  sort?: number | undefined;
  xmlId?: string | null | undefined;
  settings?: Values | undefined;
  items?: readonly NewOption[] | undefined;
}

export interface NewOption {
  /** The id of an existing option. */
  id?: number | undefined;
  value: string;
  isDefault?: boolean | undefined;
  sort?: number | undefined;
  xmlId?: string | undefined;
}

export interface UserFieldChange {
  label?: string | undefined;
  isMandatory?: boolean | undefined;
  sort?: number | undefined;
  settings?: Values | undefined;
  /** The complete list: options that are not in it are deleted. */
  items?: readonly NewOption[] | undefined;
}

const DEFAULT_SORT = 100;

/** The user fields of one CRM object type. Fields are replaced, never mutated, so that a backup can keep them. */
export class UserFields {
  private byName = new Map<string, UserField>();

  constructor(
    /** `CRM_5` */
    readonly entityId: string,
    private readonly sequences: Sequences,
  ) {}

  /** What the names of its fields begin with: `UF_CRM_5_`, but `UF_CRM_` for deals and the like. */
  get prefix(): string {
    return /^CRM_(\d+|SMART_INVOICE)$/.test(this.entityId) ? `UF_${this.entityId}_` : 'UF_CRM_';
  }

  all(): UserField[] {
    return [...this.byName.values()];
  }

  /** By the name in crm.item.*. */
  get(name: string): UserField | undefined {
    return this.byName.get(name);
  }

  findById(id: number): UserField | undefined {
    return this.all().find((field) => field.id === id);
  }

  /** By `UF_CRM_…` */
  findByFieldName(fieldName: string): UserField | undefined {
    return this.all().find((field) => field.fieldName === fieldName);
  }

  /** Undefined if the name is taken. */
  add(given: NewUserField): UserField | undefined {
    const { fieldName, type, label, isMultiple, isMandatory, sort, xmlId, settings, items } = given;
    if (this.findByFieldName(fieldName)) return undefined;
    const defaultName = restName(fieldName);
    this.sequences.field += 1;
    const field: UserField = {
      id: this.sequences.field,
      entityId: this.entityId,
      fieldName,
      // If the short name is taken, crm.item.* shows the original one (api-reference/crm/universal/index.md).
      name: this.byName.has(defaultName) ? fieldName : defaultName,
      type,
      isMultiple: isMultiple ?? false,
      xmlId: xmlId ?? null,
      label: label ?? fieldName,
      isMandatory: isMandatory ?? false,
      sort: sort ?? DEFAULT_SORT,
      settings: { ...INITIAL_SETTINGS[type], ...settings },
      items: type === 'enumeration' ? this.options(items ?? [], []) : [],
    };
    this.byName.set(field.name, field);
    return field;
  }

  update(field: UserField, change: UserFieldChange): UserField {
    const changed: UserField = {
      ...field,
      label: change.label ?? field.label,
      isMandatory: change.isMandatory ?? field.isMandatory,
      sort: change.sort ?? field.sort,
      settings: { ...field.settings, ...change.settings },
      items:
        change.items && field.type === 'enumeration' ? this.options(change.items, field.items) : field.items,
    };
    this.byName.set(field.name, changed);
    return changed;
  }

  delete(field: UserField): void {
    this.byName.delete(field.name);
  }

  /** Restores what `all()` returned. */
  restore(fields: readonly UserField[]): void {
    this.byName = new Map(fields.map((field) => [field.name, field]));
  }

  private options(wanted: readonly NewOption[], present: readonly EnumerationItem[]): EnumerationItem[] {
    return wanted.map(({ id, value, isDefault, sort, xmlId }, index) => {
      const before = present.find((option) => option.id === id);
      if (!before) this.sequences.option += 1;
      return {
        id: before?.id ?? this.sequences.option,
        value,
        isDefault: isDefault ?? before?.isDefault ?? false,
        sort: sort ?? before?.sort ?? DEFAULT_SORT * (index + 1),
        xmlId: xmlId ?? before?.xmlId ?? `option-${index + 1}`,
      };
    });
  }
}

const MOMENT = { DEFAULT_VALUE: { TYPE: 'NONE', VALUE: '' } };
const LIST = { DISPLAY: 'LIST', LIST_HEIGHT: 1 };
const TEXT = { SIZE: 20, ROWS: 1, MIN_LENGTH: 0, MAX_LENGTH: 0, DEFAULT_VALUE: '' };

/**
 * `settings` of a new user field (api-reference/crm/universal/crm-item-add.md, “Custom fields used in the example”;
 * userfieldconfig/userfieldconfig-add.md).
 */
const INITIAL_SETTINGS: Readonly<Record<UserFieldType, Values>> = {
  string: { ...TEXT, REGEXP: '' },
  integer: { SIZE: 20, MIN_VALUE: 0, MAX_VALUE: 0, DEFAULT_VALUE: null },
  double: { PRECISION: 2, SIZE: 20, MIN_VALUE: 0, MAX_VALUE: 0, DEFAULT_VALUE: null },
  boolean: { DEFAULT_VALUE: 0, DISPLAY: 'CHECKBOX', LABEL: ['', ''], LABEL_CHECKBOX: '' },
  date: MOMENT,
  datetime: { ...MOMENT, USE_SECOND: 'Y', USE_TIMEZONE: 'N' },
  money: { DEFAULT_VALUE: '' },
  url: { ...TEXT, POPUP: 'Y' },
  address: { SHOW_MAP: 'Y' },
  enumeration: { ...LIST, CAPTION_NO_VALUE: '', SHOW_NO_VALUE: 'Y' },
  file: {
    SIZE: 20,
    LIST_WIDTH: 0,
    LIST_HEIGHT: 0,
    MAX_SHOW_SIZE: 0,
    MAX_ALLOWED_SIZE: 0,
    EXTENSIONS: [],
    TARGET_BLANK: 'Y',
  },
  crm: { LEAD: 'N', CONTACT: 'Y', COMPANY: 'Y', DEAL: 'Y' },
  crm_status: { ENTITY_TYPE: 'SOURCE' },
  employee: {},
  iblock_section: { ...LIST, IBLOCK_ID: 1, DEFAULT_VALUE: '', ACTIVE_FILTER: 'N' },
  iblock_element: { ...LIST, IBLOCK_ID: 1, DEFAULT_VALUE: '', ACTIVE_FILTER: 'N' },
};
