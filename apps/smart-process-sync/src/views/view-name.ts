import { createHash } from 'node:crypto';

/** PostgreSQL silently cuts longer names. */
const MAX_NAME_LENGTH = 63;

export interface NamedType {
  memberId: string;
  domain: string;
  entityTypeId: number;
  code: string | null;
}

export interface ViewNames {
  /** `<portal>_<type>`: the first label of the portal's domain, and the type's code or `type_<entityTypeId>`. */
  preferred: string;
  /** If another type of the same portal has the default name: with the type's number. */
  numbered: string;
  /** If the others are taken: no portal can choose its texts so that one of its views gets this name. */
  own: string;
}

/** In lower case, other characters than letters and digits as `_`, so that the name needs no quotes. */
export function viewNames({ memberId, domain, entityTypeId, code }: NamedType): ViewNames {
  const portal = plain(domain.split(/[.:/]/)[0] ?? '').replace(/^_+/, '') || 'portal';
  const type = plain(code ?? '') || `type_${entityTypeId}`;
  const full = `${portal}_${type}`;
  const identity = hashOf(JSON.stringify([memberId, entityTypeId])).slice(0, 16);
  return {
    preferred: shortened(full),
    numbered: shortened(`${full}_${entityTypeId}`),
    // All others begin with a letter or a digit.
    own: `_${full.slice(0, MAX_NAME_LENGTH - identity.length - 2)}_${identity}`,
  };
}

function plain(text: string): string {
  return text.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_');
}

function shortened(name: string): string {
  if (name.length <= MAX_NAME_LENGTH) return name;
  const hash = hashOf(name).slice(0, 8);
  return `${name.slice(0, MAX_NAME_LENGTH - hash.length - 1)}_${hash}`;
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
