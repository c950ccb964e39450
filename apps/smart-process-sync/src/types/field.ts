import { z } from 'zod';

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

/** PHP writes them as a list; the documentation does not show them, portals do. */
const enumerationItem = z.object({
  ID: z.union([z.string(), z.number()]).transform(String),
  VALUE: z.union([z.string(), z.number()]).transform(String),
});
const description = z.object({
  type: z.string().catch('string'),
  title: z.string().catch(''),
  upperName: z.string().optional().catch(undefined),
  isMultiple: z.boolean().catch(false),
  items: z.array(enumerationItem.nullable().catch(null)).optional().catch(undefined),
});
const answer = z.object({
  // PHP writes an empty map as a list.
  fields: z.union([z.record(z.string(), description), z.array(z.unknown()).transform(() => ({}))]),
});

/**
 * The fields of one type, in the portal's order. What is said of a field and cannot be understood is left out, and the
 * field kept.
 * @throws ZodError when it is no answer of `crm.item.fields` at all
 */
export function readFields(result: unknown): Field[] {
  return Object.entries(answer.parse(result).fields).map(
    ([name, { type, title, upperName, isMultiple, items }]) => ({
      name: clean(name),
      upperName: clean(upperName ?? snakeCase(name)),
      type,
      title: clean(title),
      isMultiple,
      ...(type === 'enumeration' && {
        texts: Object.fromEntries(
          (items ?? []).flatMap((item) => (item ? [[item.ID, clean(item.VALUE)]] : [])),
        ),
      }),
    }),
  );
}

/** `assignedById` is `ASSIGNED_BY_ID`. */
function snakeCase(name: string): string {
  return name.replaceAll(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toUpperCase();
}

/** PostgreSQL knows no NUL in a text. */
function clean(text: string): string {
  return text.replaceAll('\0', '').replace(/\p{Surrogate}/gu, '\uFFFD');
}
