import { userFieldsResponse, type UserFieldsResponse } from '@relay/admin-contract';
import type { AdminClient } from '../client/admin-client.js';
import type { Report } from '../program/command.js';
import { type ObjectType, STANDARD_OBJECT_TYPES } from '../arguments/option-values.js';
import { findPortal } from '../client/find-portal.js';

type UserField = UserFieldsResponse['fields'][number];
/** The user fields of one object type. */
type DescribedType = ObjectType & UserFieldsResponse;

/**
 * TypeScript with a zod schema and a type for the user fields of each object type of a portal.
 * @param entity one; undefined: the standard ones
 * @throws StartupError if the portal cannot be asked
 */
export async function generateTypes(api: AdminClient, name: string, entity?: ObjectType): Promise<Report> {
  const { memberId, domain } = await findPortal(api, name);
  const described: DescribedType[] = [];
  for (const one of entity ? [entity] : STANDARD_OBJECT_TYPES) {
    const path = `/portals/${encodeURIComponent(memberId)}/user-fields/${one.entityTypeId}`;
    described.push({ ...one, ...userFieldsResponse.parse(await api.send('GET', path)) });
  }
  return { value: described, text: formatTypes(domain, described) };
}

/**
 * Values as `crm.item.get` answers them (`api-reference/crm/universal/crm-item-add.md`, custom fields): `money` is
 * `300|EUR`, of an enumeration the value is the id of an option, and what has no value is null. A type that is not listed, such as one
 * that another application has registered, is unknown.
 */
const SCHEMAS: Readonly<Record<string, string>> = {
  string: 'z.string()',
  integer: 'z.number()',
  double: 'z.number()',
  boolean: "z.enum(['Y', 'N'])",
  date: 'z.string()',
  datetime: 'z.string()',
  money: 'z.string()',
  url: 'z.string()',
  address: 'z.string()',
  enumeration: 'z.number()',
  file: 'z.looseObject({ id: z.number(), url: z.string(), urlMachine: z.string() })',
  crm: 'z.union([z.string(), z.number()])',
  crm_status: 'z.string()',
  employee: 'z.number()',
  iblock_section: 'z.number()',
  iblock_element: 'z.number()',
};

/** What comes from the portal is checked again here, since code is made of it: names are identifiers, texts stay in comments. */
const NAME = /^uf[A-Z][A-Za-z0-9_]{0,60}$/;
const MAX_COMMENT = 200;
const MAX_OPTIONS_SHOWN = 50;

/** @param domain of the portal, for the comment at the top */
export function formatTypes(domain: string, described: readonly DescribedType[]): string {
  const head = `// User fields of ${comment(domain)}, made by relay types generate. Make it again when the portal's fields have changed.`;
  return [head, "import { z } from 'zod';", ...described.map(formatEntity)].join('\n\n');
}

function formatEntity({ entityTypeId, name, fields, unreadable }: DescribedType): string {
  const schema = `${name.charAt(0).toLowerCase()}${name.slice(1)}UserFields`;
  const known = fields.filter((field) => NAME.test(field.name));
  const skipped = unreadable + fields.length - known.length;
  const note =
    skipped === 0
      ? ''
      : ` Left out, because they are not as documented or too many: ${skipped} fields and options.`;
  return [
    `/** Of items with entityTypeId ${entityTypeId}: \`${schema}.parse(item)\`. A value of another kind is undefined.${note} */`,
    `export const ${schema} = z.object({`,
    ...known.map(formatField),
    '});',
    `export type ${name}UserFields = z.output<typeof ${schema}>;`,
  ].join('\n');
}

function formatField({ name, type, title, isMultiple, options }: UserField): string {
  const one = Object.hasOwn(SCHEMAS, type) ? SCHEMAS[type] : undefined;
  const many = isMultiple ? `z.array(${one ?? 'z.unknown()'})` : (one ?? 'z.unknown()');
  const shown = options.slice(0, MAX_OPTIONS_SHOWN).map(({ id, text }) => `${id} ${comment(text)}`);
  const more = options.length > shown.length ? ', …' : '';
  const values = shown.length > 0 ? `: ${shown.join(', ')}${more}` : '';
  return `  /** ${comment(title)} (${comment(type)}${values}) */\n  ${name}: ${many}.nullish().catch(undefined),`;
}

/**
 * Foreign text as part of a comment: on one line, without what ends the comment, steers a terminal or an editor, or is a directive to the
 * compiler (`@ts-expect-error`).
 */
function comment(text: string): string {
  return text
    .replaceAll(/[\p{C}\p{Z}]+/gu, ' ')
    .replaceAll('*/', '* /')
    .replaceAll('@', '＠')
    .trim()
    .slice(0, MAX_COMMENT);
}
