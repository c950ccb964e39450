import { createHash } from 'node:crypto';

/** PostgreSQL cuts longer names without a word. */
const longest = 63;

export interface NamedType {
  memberId: string;
  domain: string;
  entityTypeId: number;
  code: string | null;
}

/**
 * The names that a type's view may have, the best first: `<portal>_<type>`, portal = first label of its domain, type = its code
 * or `type_<entityTypeId>`, in lower case, other characters `_`. Where that is taken by another type of the portal, the
 * type's number is added; where by another portal (`acme.bitrix24.com`, `acme.bitrix24.de`), a part of its member_id.
 */
export function viewNames({ memberId, domain, entityTypeId, code }: NamedType): string[] {
  const portal = plain(domain.split(/[.:/]/)[0] ?? '') || 'portal';
  const type = plain(code ?? '') || `type_${entityTypeId}`;
  const member = plain(memberId).slice(0, 8);
  const names = [
    `${portal}_${type}`,
    `${portal}_${type}_${entityTypeId}`,
    `${portal}_${member}_${type}`,
    `${portal}_${member}_${type}_${entityTypeId}`,
    `${portal}_${plain(memberId)}_type_${entityTypeId}`,
  ];
  return [...new Set(names.map(shortened))].filter((name) => !reserved.has(name));
}

/** Tables of the schema. */
const reserved = new Set(['items', 'portals', 'types']);

function plain(text: string): string {
  return text.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_');
}

function shortened(name: string): string {
  if (name.length <= longest) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8);
  return `${name.slice(0, longest - hash.length - 1)}_${hash}`;
}
