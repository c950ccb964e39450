import type { DataSource, EntityManager } from 'typeorm';

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

/** Much longer than the time between two statements of a transaction. */
const IDLE_TIMEOUT_MS = 10_000;

/**
 * Runs `work` in a transaction that a stalled or lost process cannot keep open: the database ends it after ten seconds
 * without a statement, which releases its row locks.
 * @throws whatever `work` or the database throws
 */
export async function inTransaction<T>(
  dataSource: DataSource,
  work: (manager: EntityManager) => Promise<T>,
): Promise<T> {
  return await dataSource.transaction(async (manager) => {
    await manager.query(`SET LOCAL idle_in_transaction_session_timeout = ${IDLE_TIMEOUT_MS}`);
    return await work(manager);
  });
}
