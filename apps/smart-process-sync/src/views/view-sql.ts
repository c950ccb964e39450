import type { Column } from './columns.js';
import { asLiteral, asName } from './quoting.js';

export interface ViewOf {
  name: string;
  memberId: string;
  entityTypeId: number;
  title: string;
}

/** A column as it stands in the database. */
export interface MadeColumn {
  name: string;
  type: string;
}

/**
 * In an order in which the view can be replaced, if there is one: PostgreSQL takes new columns at the end only.
 * `isReplaceable` is false where a column went away or has another type now; then the view has to be made anew.
 */
export function arrange(
  columns: readonly Column[],
  made: readonly MadeColumn[],
): { columns: readonly Column[]; isReplaceable: boolean } {
  const wanted = new Map(columns.map((column) => [column.name, column]));
  const kept = made.flatMap(({ name, type }) => {
    const column = wanted.get(name);
    return column?.type === type ? [column] : [];
  });
  if (kept.length < made.length) return { columns, isReplaceable: false };
  const known = new Set(made.map(({ name }) => name));
  return { columns: [...kept, ...columns.filter(({ name }) => !known.has(name))], isReplaceable: true };
}

/** Living items only: what is deleted or hidden is to be found in `mirror.items`. */
export function createView({ name, memberId, entityTypeId }: ViewOf, columns: readonly Column[]): string {
  const list = columns.map((column) => `${column.sql} AS ${asName(column.name)}`);
  return `CREATE OR REPLACE VIEW mirror.${asName(name)} AS SELECT
  ${list.join(',\n  ')}
FROM mirror.items AS i
WHERE i.member_id = ${asLiteral(memberId)} AND i.entity_type_id = ${entityTypeId}
  AND i.deleted_at IS NULL AND i.hidden_at IS NULL`;
}

export function dropView(name: string): string {
  return `DROP VIEW IF EXISTS mirror.${asName(name)}`;
}

/** What a person sees in psql's `\d+`, and a tool as a description. */
export function commentOn({ name, title }: ViewOf, columns: readonly Column[]): string {
  const view = `mirror.${asName(name)}`;
  const ofColumns = columns.map(
    (column) => `COMMENT ON COLUMN ${view}.${asName(column.name)} IS ${asLiteral(column.comment)}`,
  );
  return [`COMMENT ON VIEW ${view} IS ${asLiteral(title)}`, ...ofColumns].join(';\n');
}

/** One row: by column, how many living items have a value there that does not fit. */
export function countMisfits(columns: readonly Column[]): string | undefined {
  const counts = columns.flatMap(({ name, misfit }) =>
    misfit === null ? [] : [`${asLiteral(name)}, count(*) FILTER (WHERE ${misfit})`],
  );
  if (counts.length === 0) return undefined;
  // A function takes at most 100 arguments.
  const parts: string[] = [];
  for (let from = 0; from < counts.length; from += 45) {
    parts.push(`jsonb_build_object(${counts.slice(from, from + 45).join(', ')})`);
  }
  return `SELECT ${parts.join(' || ')} AS misfits FROM mirror.items AS i
WHERE i.member_id = $1 AND i.entity_type_id = $2 AND i.deleted_at IS NULL AND i.hidden_at IS NULL`;
}
