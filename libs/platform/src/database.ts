import pg from 'pg';
import type { DataSourceOptions } from 'typeorm';

/**
 * A connection that always has an error listener. A pool removes its own listener from a connection that it hands out;
 * when the server reports in one packet that it is ready and that it shuts down, the borrower has no listener yet, and
 * an unhandled error event ends the process. Statements in flight are rejected nevertheless.
 */
export class DatabaseClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    this.on('error', () => undefined);
  }
}

/** A pool of such connections. @param onIdleError called when an idle connection ends */
export function databasePool(
  config: pg.PoolConfig,
  onIdleError: (error: Error) => void = () => undefined,
): pg.Pool {
  const pool = new pg.Pool({ ...config, Client: DatabaseClient });
  pool.on('error', onIdleError);
  return pool;
}

/** Connections per process: a batch of writes needs few, and PostgreSQL's default limit is 100 in total. */
const POOL_SIZE = 8;
/** Also limits the wait for a free connection of the pool, which can take a while in a busy process. */
const CONNECT_TIMEOUT_MS = 10_000;
/** A network that drops packets must not block a connection of the pool forever. */
const QUERY_TIMEOUT_MS = 60_000;

/** Database options of every app. Only `npm run migrate` runs migrations, never the start of an app. */
export function databaseOptions(
  url: string,
  app: string,
  entities: NonNullable<DataSourceOptions['entities']> = [],
): DataSourceOptions {
  return {
    type: 'postgres',
    url,
    entities,
    applicationName: `b24-relay ${app}`,
    uuidExtension: 'pgcrypto',
    installExtensions: false,
    poolSize: POOL_SIZE,
    connectTimeoutMS: CONNECT_TIMEOUT_MS,
    extra: { keepAlive: true, query_timeout: QUERY_TIMEOUT_MS, Client: DatabaseClient },
    logging: false,
  };
}
