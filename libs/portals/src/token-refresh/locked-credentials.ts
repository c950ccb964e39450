import { QueryFailedError, type DataSource, type EntityManager } from 'typeorm';
import { lockCredentials } from '../credentials.js';
import type { CredentialsEntity, PortalEntity } from '../entities.js';
import { PortalError } from '../errors.js';
import type { TokenRefreshTimings } from './token-refresh-timings.js';

export interface LockedCredentials {
  portal: PortalEntity;
  credentials: CredentialsEntity;
}

/** PostgreSQL's lock_not_available. */
const LOCK_NOT_AVAILABLE = '55P03';

/**
 * Runs `work` in a transaction with the exclusive lock for refreshing the portal's pair. A stalled holder loses the
 * lock after `idleTimeoutMs`; a waiter gives up after `lockTimeoutMs`.
 * @throws Bitrix24Error NOT_INSTALLED; PortalError CREDENTIALS_BUSY; whatever `work` or the database throws
 */
export async function withLockedCredentials<T>(
  dataSource: DataSource,
  memberId: string,
  { lockTimeoutMs, idleTimeoutMs }: Pick<TokenRefreshTimings, 'lockTimeoutMs' | 'idleTimeoutMs'>,
  work: (manager: EntityManager, stored: LockedCredentials) => Promise<T>,
): Promise<T> {
  try {
    return await dataSource.transaction(async (manager) => {
      // The third parameter makes it SET LOCAL.
      await manager.query(
        `SELECT set_config('lock_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $2, true)`,
        [`${lockTimeoutMs}ms`, `${idleTimeoutMs}ms`],
      );
      return await work(manager, await lockCredentials(manager, memberId));
    });
  } catch (error) {
    if (!(error instanceof QueryFailedError && 'code' in error && error.code === LOCK_NOT_AVAILABLE))
      throw error;
    const message = 'Another process keeps the credentials of the portal locked';
    throw new PortalError('CREDENTIALS_BUSY', message, { memberId, cause: error });
  }
}
