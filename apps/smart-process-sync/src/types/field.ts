import { z } from 'zod';
import { LeftOut } from './left-out.js';
import { readText } from './portal-text.js';

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
    .transform((told) => (typeof told === 'string' && told !== '' ? told : undefined))
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
  for (const [at, [name, told]] of described.entries()) {
    if (fields.length === MAX_FIELDS) {
      leftOut.add('fields', name, described.length - at);
      break;
    }
    const read = FIELD_NAME.test(name) ? description.safeParse(told) : undefined;
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
