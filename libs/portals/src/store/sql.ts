/** SQL by TypeORM's connections. What TypeORM's `query` returns differs by statement; only this file knows how. */
interface Database {
  query<T>(sql: string, parameters?: unknown[]): Promise<T>;
}

/** What TypeORM returns for UPDATE and DELETE; for every other statement it returns the rows alone. */
type Changed<T> = [rows: T[], count: number];

/**
 * The rows of a SELECT or a RETURNING. `T` is the shape that the statement gives them: the caller writes both side by
 * side, with every column named as its field.
 */
export async function queryRows<T extends object>(
  database: Database,
  sql: string,
  parameters?: unknown[],
): Promise<T[]> {
  const result = await database.query<T[] | Changed<T>>(sql, parameters);
  return isChanged(result) ? result[0] : result;
}

/** How many rows an UPDATE or DELETE has changed. */
export async function countChanged(database: Database, sql: string, parameters?: unknown[]): Promise<number> {
  const [, count] = await database.query<Changed<object>>(sql, parameters);
  return count;
}

function isChanged<T extends object>(result: T[] | Changed<T>): result is Changed<T> {
  return Array.isArray(result[0]);
}
