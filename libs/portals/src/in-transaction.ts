import type { DataSource, EntityManager } from 'typeorm';

/** Far longer than the statements of a transaction are apart. */
const IDLE_TIMEOUT_MS = 10_000;

/**
 * A transaction whose rows a process that stands still, or whose machine is gone, does not keep locked from all others:
 * the database ends it when no statement comes for ten seconds.
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
