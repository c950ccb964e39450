import { createHash } from 'node:crypto';
import { asLiteral, type Column } from './columns.js';

interface ViewOf {
  name: string;
  memberId: string;
  entityTypeId: number;
  title: string;
}

/** A column in the database. */
export interface ExistingColumn {
  name: string;
  type: string;
}

/**
 * Orders the columns so that the view can be replaced, if possible: PostgreSQL adds new columns at the end only.
 * `isReplaceable` is false if a column was removed or has another type; then the view must be dropped and created.
 */
export function orderColumns(
  columns: readonly Column[],
  existing: readonly ExistingColumn[],
): { columns: readonly Column[]; isReplaceable: boolean } {
  const wanted = new Map(columns.map((column) => [column.name, column]));
  const kept = existing.flatMap(({ name, type }) => {
    const column = wanted.get(name);
    return column?.type === type ? [column] : [];
  });
  if (kept.length < existing.length) return { columns, isReplaceable: false };
  const known = new Set(existing.map(({ name }) => name));
  return { columns: [...kept, ...columns.filter(({ name }) => !known.has(name))], isReplaceable: true };
}

/**
 * Current items only: deleted and hidden ones are in `mirror.items`. With a barrier, because otherwise PostgreSQL may
 * call a cheap function of the reader on rows outside the view, those of other portals. The option is repeated each time,
 * since a replaced view loses options that are not named.
 */
export function createView({ name, memberId, entityTypeId }: ViewOf, columns: readonly Column[]): string {
  const list = columns.map((column) => `${column.sql} AS ${asName(column.name)}`);
  return `CREATE OR REPLACE VIEW mirror.${asName(name)} WITH (security_barrier) AS SELECT
  ${list.join(',\n  ')}
FROM mirror.items AS i
WHERE i.member_id = ${asLiteral(memberId)} AND i.entity_type_id = ${entityTypeId}
  AND i.deleted_at IS NULL AND i.hidden_at IS NULL`;
}

/** For a view that was created without one. */
export function setBarrier(name: string): string {
  return `ALTER VIEW mirror.${asName(name)} SET (security_barrier)`;
}

export function dropView(name: string): string {
  return `DROP VIEW IF EXISTS mirror.${asName(name)}`;
}

/** Shown by `\d+` of psql, and by tools as a description. */
export function commentOn({ name, title }: ViewOf, columns: readonly Column[]): string {
  const view = `mirror.${asName(name)}`;
  const ofColumns = columns.map(
    (column) => `COMMENT ON COLUMN ${view}.${asName(column.name)} IS ${asLiteral(column.comment)}`,
  );
  return [`COMMENT ON VIEW ${view} IS ${asLiteral(title)}`, ...ofColumns].join(';\n');
}

function asName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** PostgreSQL silently cuts longer names. */
const MAX_NAME_LENGTH = 63;

interface NamedType {
  memberId: string;
  domain: string;
  entityTypeId: number;
  code: string | null;
}

interface ViewNames {
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
