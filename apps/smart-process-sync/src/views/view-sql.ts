import { type Column, buildCastFailureTest } from './columns.js';
import { asLiteral, asName } from './quoting.js';

export interface ViewOf {
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
export function arrange(
  columns: readonly Column[],
  made: readonly ExistingColumn[],
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

/**
 * By column, the number of current items with an id above $3, up to $4, whose value does not fit. Each item is decompressed
 * once, not once per field: PostgreSQL stores large ones compressed.
 */
export function countCastFailures(columns: readonly Column[]): string | undefined {
  const checks = columns.flatMap(({ name, check }) => (check ? [{ name, check }] : []));
  if (checks.length === 0) return undefined;
  const tests = [...new Set(checks.map(({ check }) => buildCastFailureTest(check, 'f.value')))];
  const fields = checks.map(
    ({ name, check }) =>
      `(${asLiteral(check.field)}, ${asLiteral(name)}, ${tests.indexOf(buildCastFailureTest(check, 'f.value'))})`,
  );
  return `SELECT c.name AS column, count(*)::int AS count
    FROM mirror.items AS i CROSS JOIN LATERAL jsonb_each(i.fields) AS f(key, value)
    JOIN (VALUES ${fields.join(', ')}) AS c(field, name, test) ON c.field = f.key
   WHERE i.member_id = $1 AND i.entity_type_id = $2 AND i.item_id > $3 AND i.item_id <= $4 AND i.deleted_at IS NULL AND i.hidden_at IS NULL
     AND CASE c.test ${tests.map((test, number) => `WHEN ${number} THEN ${test}`).join('\n       ')} END
   GROUP BY c.name`;
}
