import type { DataSource, EntityManager } from 'typeorm';

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
