import { z } from 'zod';
import type { PortalClient } from './portal-client.js';
import { invalidResponse } from './rest/response.js';

/** A user field of an object type, as `crm.item.fields` describes it. `title` and the texts are words of the portal. */
export interface UserField {
  /** As items have it: `ufCrm5_1720019876534`. */
  readonly name: string;
  readonly type: string;
  readonly title: string;
  readonly isMultiple: boolean;
  /** The values of an enumeration; empty for other types. */
  readonly options: readonly { readonly id: number; readonly text: string }[];
}

export interface UserFields {
  readonly fields: readonly UserField[];
  /** Number of user fields and options that are not as documented, or beyond 500 of each. */
  readonly unreadable: number;
}

/** The documented format. What matches is an identifier of any language, and no key that objects have anyway. */
const NAME = /^uf[A-Z][A-Za-z0-9_]{0,60}$/;
const TYPE = /^[A-Za-z_][A-Za-z0-9_]{0,60}$/;
const MAX_FIELDS = 500;
const MAX_OPTIONS = 500;
/** Bitrix24 limits them to 255. */
const MAX_TEXT_LENGTH = 255;

const text = z
  .union([z.string(), z.number()])
  .transform((value) => String(value).slice(0, MAX_TEXT_LENGTH))
  .catch('');
const optionId = z.union([
  z.int().nonnegative(),
  z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number),
]);
const option = z.object({ ID: optionId, VALUE: text });
const field = z.object({
  type: z.string().regex(TYPE),
  title: text,
  isMultiple: z.boolean().catch(false),
  items: z.array(z.unknown()).catch([]),
});
// PHP encodes an empty map as a list.
const answer = z.object({ fields: z.union([z.array(z.unknown()), z.record(z.string(), z.unknown())]) });

/**
 * The user fields of an object type (`api-reference/crm/universal/crm-item-fields.md`), in the portal's order. One that cannot
 * be read does not hide the others. @throws Bitrix24Error `BAD_ANSWER` also for what describes no fields
 */
export async function readUserFields(
  client: PortalClient,
  entityTypeId: number,
  signal?: AbortSignal,
): Promise<UserFields> {
  const method = 'crm.item.fields';
  const { result } = await client.call(method, { entityTypeId }, { signal });
  const described = answer.safeParse(result);
  if (!described.success) throw invalidResponse({ memberId: client.memberId, method, secrets: [] });
  const fields: UserField[] = [];
  let unreadable = 0;
  for (const [name, value] of Object.entries(described.data.fields)) {
    if (!/^uf/i.test(name)) continue;
    const read = NAME.test(name) && fields.length < MAX_FIELDS ? field.safeParse(value) : undefined;
    if (!read?.success) {
      unreadable += 1;
      continue;
    }
    const { items, ...rest } = read.data;
    const options = items.slice(0, MAX_OPTIONS).flatMap((item) => option.safeParse(item).data ?? []);
    unreadable += items.length - options.length;
    fields.push({ name, ...rest, options: options.map(({ ID: id, VALUE }) => ({ id, text: VALUE })) });
  }
  return { fields, unreadable };
}
