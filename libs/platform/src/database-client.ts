import pg from 'pg';

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
