import type { Field } from '../smart-process-types/field.js';

/** A column of a typed view. */
export interface Column {
  name: string;
  /** SQL over a row `i` of `mirror.items`. */
  sql: string;
  type: string;
  comment: string;
  /** The field, and how its values are cast; null if every value fits. */
  check: FieldCheck | null;
}

/** This shows whether a value fits: it exists, and the cast returns null. */
export interface FieldCheck {
  field: string;
  cast: SqlCast;
  isMultiple: boolean;
}

/** SQL of a value, from the SQL of the portal's JSON value. */
type SqlCast = (value: string) => string;

/** How a value of the portal becomes an SQL value. */
interface Cast {
  cast: SqlCast;
  type: string;
  /** Suffix of the field's name. */
  suffix?: string;
}

const integer: Cast = { cast: by('to_integer'), type: 'bigint' };
const text: Cast = { cast: by('to_text'), type: 'text' };

function by(name: string): SqlCast {
  return (value) => `mirror.${name}(${value})`;
}

/** By the types of `api-reference/crm/universal/crm-item-fields.md` and `user-defined-fields/crm-userfield-types.md`. */
const CASTS = new Map<string, readonly Cast[]>([
  ['integer', [integer]],
  ['double', [{ cast: by('to_number'), type: 'numeric' }]],
  ['boolean', [{ cast: by('to_boolean'), type: 'boolean' }]],
  ['date', [{ cast: by('to_date'), type: 'date' }]],
  ['datetime', [{ cast: by('to_time'), type: 'timestamptz' }]],
  [
    'money',
    [
      { cast: by('to_amount'), type: 'numeric' },
      { cast: by('to_currency'), type: 'text', suffix: '_currency' },
    ],
  ],
  [
    'file',
    [
      { cast: by('to_file_url'), type: 'text' },
      { cast: by('to_file_id'), type: 'bigint', suffix: '_id' },
    ],
  ],
  ['user', [integer]],
  ['employee', [integer]],
  ['crm_company', [integer]],
  ['crm_contact', [integer]],
  ['crm_category', [integer]],
  ['crm_entity', [integer]],
  ['iblock_element', [integer]],
  ['iblock_section', [integer]],
  ['hlblock', [integer]],
]);

/** Columns of the table, which were checked when the item was stored. */
const OF_TABLE = new Map<string, { column: string; type: string }>([
  ['ID', { column: 'item_id', type: 'bigint' }],
  ['TITLE', { column: 'title', type: 'text' }],
  ['STAGE_ID', { column: 'stage_id', type: 'text' }],
  ['CATEGORY_ID', { column: 'category_id', type: 'int' }],
  ['ASSIGNED_BY_ID', { column: 'assigned_by_id', type: 'int' }],
  ['CREATED_BY', { column: 'created_by_id', type: 'int' }],
  ['UPDATED_BY', { column: 'updated_by_id', type: 'int' }],
  ['CREATED_TIME', { column: 'created_time', type: 'timestamptz' }],
  ['UPDATED_TIME', { column: 'updated_time', type: 'timestamptz' }],
  ['MOVED_TIME', { column: 'moved_time', type: 'timestamptz' }],
  ['OPPORTUNITY', { column: 'opportunity', type: 'numeric' }],
  ['CURRENCY_ID', { column: 'currency_id', type: 'text' }],
]);

/** At the end of every view: all fields, so that new ones can be queried, and the age of the row. */
const last: readonly Column[] = [
  {
    name: 'fields',
    sql: 'i.fields',
    type: 'jsonb',
    comment: 'all fields as the portal gave them',
    check: null,
  },
  {
    name: 'read_at',
    sql: 'i.read_at',
    type: 'timestamptz',
    comment: 'when the portal was asked',
    check: null,
  },
];

/** PostgreSQL's limit is 1,600 columns for a table and 1,664 for a view; the other fields are only in `fields`. */
const MAX_COLUMNS = 1_500;

/**
 * The columns of a type's view: every field under its own name in lower case (`uf_crm_5_1720019876534`), its title as the
 * comment. If names collide, the later one gets a number.
 */
export function columnsOf(fields: readonly Field[]): Column[] {
  const taken = new Set(last.map(({ name }) => name));
  const columns = fields
    .slice(0, MAX_COLUMNS)
    .flatMap((field) => toColumns(field, (name) => freeName(name, taken)));
  return [...columns.slice(0, MAX_COLUMNS), ...last];
}

function toColumns(field: Field, free: (name: string) => string): Column[] {
  const base = columnName(field.upperName);
  const stored = OF_TABLE.get(field.upperName);
  if (stored) {
    const { column, type } = stored;
    return [{ name: free(base), sql: `i.${column}`, type, comment: field.title, check: null }];
  }
  const value = `(i.fields -> ${asLiteral(field.name)})`;
  return castsOf(field).map(({ cast, type, suffix = '' }, index) => {
    // A missing currency, id or text is not counted as another value that does not fit.
    const check = index === 0 ? { field: field.name, cast, isMultiple: field.isMultiple } : null;
    const one = { name: free(`${base}${suffix}`), comment: field.title, check };
    return field.isMultiple
      ? {
          ...one,
          type: `${type}[]`,
          sql: `ARRAY(SELECT ${cast('e')} FROM jsonb_array_elements(mirror.to_list(${value})) AS e)`,
        }
      : { ...one, type, sql: cast(value) };
  });
}

function castsOf({ type, texts }: Field): readonly Cast[] {
  if (type !== 'enumeration') return CASTS.get(type) ?? [text];
  const known = `${asLiteral(JSON.stringify(texts ?? {}))}::jsonb`;
  return [
    { cast: (value) => `(${known} ->> ${integer.cast(value)}::text)`, type: 'text' },
    { ...integer, suffix: '_id' },
  ];
}

/** PostgreSQL cuts names longer than 63 bytes; there is room for a suffix and a number. */
const MAX_BASE_LENGTH = 48;

/** Lower-case letters, digits and `_`, so that the name needs no quotes. */
function columnName(upperName: string): string {
  const name = upperName.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_');
  return (/^[a-z_]/.test(name) ? name : `_${name}`).slice(0, MAX_BASE_LENGTH);
}

function freeName(wanted: string, taken: Set<string>): string {
  let name = wanted;
  for (let n = 2; taken.has(name); n++) name = `${wanted}_${n}`;
  taken.add(name);
  return name;
}

/** A string literal. Names and texts of fields are foreign, and DDL takes no parameters. */
export function asLiteral(value: string): string {
  const quoted = `'${value.replaceAll("'", "''")}'`;
  // The meaning of a backslash would depend on a setting of the server.
  return value.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}
