import { counter } from '@relay/platform';
import { z } from 'zod';

const leftOutTotal = counter({
  name: 'relay_sync_left_out_total',
  help: 'Invalid parts of the type descriptions of portals, counted at each read, by what: types, fields, options',
  labelNames: ['what'],
});

type Described = 'types' | 'fields' | 'options';

/** Keeps a log line short. */
const MAX_EXAMPLES = 5;
const MAX_EXAMPLE_LENGTH = 100;

/** Invalid parts of a portal's type descriptions: they are counted and logged, and everything else is used. */
export class LeftOut {
  readonly counts: Record<Described, number> = { types: 0, fields: 0, options: 0 };
  /** Texts of the portal. */
  readonly examples: string[] = [];

  add(what: Described, example: string, count = 1): void {
    this.counts[what] += count;
    leftOutTotal.inc({ what }, count);
    if (this.examples.length < MAX_EXAMPLES) this.examples.push(example.slice(0, MAX_EXAMPLE_LENGTH));
  }

  isEmpty(): boolean {
    return Object.values(this.counts).every((count) => count === 0);
  }
}

/** Bitrix24 limits names, labels and options to 255 characters. */
const MAX_LENGTH = 1_000;

/** A portal's name, title or option as PostgreSQL can store it, in text and in JSON: without NUL and lone surrogates. */
export function readText(value: string | number): string {
  return String(value)
    .slice(0, MAX_LENGTH)
    .replaceAll('\0', '')
    .replace(/\p{Surrogate}/gu, '\uFFFD');
}

/** One field as `crm.item.fields` describes it (`api-reference/crm/data-types.md#crm_rest_field_description`). */
export interface Field {
  /** The name in items: `stageId`, `ufCrm5_1720019876534`. */
  name: string;
  /** `STAGE_ID`, `UF_CRM_5_1720019876534`. */
  upperName: string;
  type: string;
  title: string;
  isMultiple: boolean;
  /** For an enumeration: the texts of its values, by id. */
  texts?: Record<string, string>;
}

/** The documented format of names; nothing else gets into SQL, not even quoted. */
const FIELD_NAME = /^[A-Za-z0-9_]{1,64}$/;
/** The format of an enumeration value's id. */
const OPTION_ID = /^(0|[1-9]\d{0,17})$/;
/** The maximum of columns of a view; far more than any type has fields. */
const MAX_FIELDS = 1_500;

const optionId = z.union([z.string().regex(OPTION_ID), z.int().nonnegative().transform(String)]);
/** PHP encodes them as a list; the documentation does not show them, portals send them. */
const option = z.object({
  ID: optionId,
  VALUE: z.union([z.string(), z.number()]).transform(readText),
});
const description = z.object({
  type: z.string().catch('string'),
  title: z.string().catch('').transform(readText),
  upperName: z
    .unknown()
    .optional()
    .transform((value) => (typeof value === 'string' && value !== '' ? value : undefined))
    .pipe(z.string().regex(FIELD_NAME).optional()),
  isMultiple: z.boolean().catch(false),
  items: z.array(z.unknown()).optional().catch(undefined),
});
const answer = z.object({
  // PHP encodes an empty map as a list. Not a zod record, which silently drops `__proto__`.
  fields: z.union([z.array(z.unknown()).transform(() => ({})), z.custom<Record<string, unknown>>(isObject)]),
});

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

/**
 * The fields of one type, in the portal's order. Invalid properties of a field are omitted, and the
 * field stays; a field with an invalid name is omitted.
 * @throws ZodError if it is not a response of `crm.item.fields` at all
 */
export function readFields(result: unknown, leftOut: LeftOut = new LeftOut()): Field[] {
  const fields: Field[] = [];
  const described = Object.entries(answer.parse(result).fields);
  for (const [at, [name, value]] of described.entries()) {
    if (fields.length === MAX_FIELDS) {
      leftOut.add('fields', name, described.length - at);
      break;
    }
    const read = FIELD_NAME.test(name) ? description.safeParse(value) : undefined;
    if (read?.success) fields.push(toField(name, read.data, leftOut));
    else leftOut.add('fields', name);
  }
  return fields;
}

function toField(
  name: string,
  { type, title, upperName, isMultiple, items }: z.output<typeof description>,
  leftOut: LeftOut,
): Field {
  const field = { name, upperName: upperName ?? snakeCase(name), type, title, isMultiple };
  return type === 'enumeration' ? { ...field, texts: textsOf(name, items ?? [], leftOut) } : field;
}

function textsOf(name: string, items: readonly unknown[], leftOut: LeftOut): Record<string, string> {
  const texts = new Map<string, string>();
  for (const item of items) {
    const read = option.safeParse(item);
    if (read.success) texts.set(read.data.ID, read.data.VALUE);
    else leftOut.add('options', name);
  }
  return Object.fromEntries(texts);
}

/** `assignedById` becomes `ASSIGNED_BY_ID`. */
function snakeCase(name: string): string {
  return name.replaceAll(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toUpperCase();
}
