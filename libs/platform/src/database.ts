import pg from 'pg';
import type { DataSourceOptions } from 'typeorm';

/**
 * A connection whose end is always heard. A pool takes its own listener off a connection that it hands out; when the
 * server says in one breath that it is ready and that it goes down, whoever asked for the connection has no listener
 * yet, and an error that nobody hears ends the process. Statements under way are rejected all the same.
 */
export class DatabaseClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    this.on('error', () => undefined);
  }
}

/** A pool of them. @param onIdleError when a connection ends that nobody uses */
export function databasePool(
  config: pg.PoolConfig,
  onIdleError: (error: Error) => void = () => undefined,
): pg.Pool {
  const pool = new pg.Pool({ ...config, Client: DatabaseClient });
  pool.on('error', onIdleError);
  return pool;
}

/** Connections of one process: a batch of writes needs few, and PostgreSQL's default limit is 100 for all. */
const POOL_SIZE = 8;
/** Also the wait for a free connection of the pool, which a process with much in hand may need more than a moment for. */
const CONNECT_TIMEOUT_MS = 10_000;
/** A network that swallows packets must not hold a connection of the pool for ever. */
const QUERY_TIMEOUT_MS = 60_000;

/** How every app opens the database. Migrations are run by `npm run migrate`, never at an app's start. */
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
