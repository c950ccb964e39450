import { z } from 'zod';
import { LeftOut } from './left-out.js';
import { readText } from './portal-text.js';

/** What `crm.item.fields` says of one field (`api-reference/crm/data-types.md#crm_rest_field_description`). */
export interface Field {
  /** As items name it: `stageId`, `ufCrm5_1720019876534`. */
  name: string;
  /** `STAGE_ID`, `UF_CRM_5_1720019876534`. */
  upperName: string;
  type: string;
  title: string;
  isMultiple: boolean;
  /** Of an enumeration: the texts that its values stand for, by their ids. */
  texts?: Record<string, string>;
}

/** As the documentation spells names; nothing else gets into SQL, not even quoted. */
const FIELD_NAME = /^[A-Za-z0-9_]{1,64}$/;
/** As a value of an enumeration is spelled once it is a number. */
const OPTION_ID = /^(0|[1-9]\d{0,17})$/;
/** A view has no more columns; far more than any type has fields. */
const MAX_FIELDS = 1_500;

const optionId = z.union([z.string().regex(OPTION_ID), z.int().nonnegative().transform(String)]);
/** PHP writes them as a list; the documentation does not show them, portals do. */
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
  // PHP writes an empty map as a list. Not a schema of a record, which passes over `__proto__` without a word.
  fields: z.union([z.array(z.unknown()).transform(() => ({})), z.custom<Record<string, unknown>>(isObject)]),
});

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

/**
 * The fields of one type, in the portal's order. What is said of a field and cannot be understood is left out, and the
 * field kept; a field whose name is none is left out itself.
 * @throws ZodError when it is no answer of `crm.item.fields` at all
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

/** `assignedById` is `ASSIGNED_BY_ID`. */
function snakeCase(name: string): string {
  return name.replaceAll(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toUpperCase();
}
