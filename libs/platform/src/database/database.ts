import pg from 'pg';
import type { DataSourceOptions } from 'typeorm';

/**
 * A connection that always has an error listener. A pool removes its own listener from a connection that it hands out;
 * when the server reports in one packet that it is ready and that it shuts down, the borrower has no listener yet, and
 * an unhandled error event ends the process. Statements in flight are rejected nevertheless.
 */
export class DatabaseClient extends pg.Client {
  /** Statements that this connection does not keep. */
  private readonly unnamed = new Set<string>();

  constructor(config?: string | pg.ClientConfig) {
    super(config);
    this.on('error', () => undefined);
    const query: unknown = Reflect.get(this, 'query');
    if (typeof query !== 'function') throw new TypeError('pg.Client has no query');
    // Not an override: it would have to repeat the seven signatures of pg, of which TypeORM and we use two.
    const queryNamed = (statement: unknown, ...others: unknown[]): unknown => {
      const run = (given: unknown): unknown => Reflect.apply(query, this, [given, ...others]);
      const name = nameOf(statement);
      if (name === undefined || this.unnamed.has(name)) return run(statement);
      const result = run({ name, text: statement });
      if (!(result instanceof Promise)) return result;
      return result.catch((error: unknown) => {
        if (!(error instanceof pg.DatabaseError) || !NOT_KEPT.has(error.code ?? '')) throw error;
        this.unnamed.add(name);
        return run(statement);
      });
    };
    Object.defineProperty(this, 'query', { value: queryNamed, writable: true, configurable: true });
  }
}

/** In front of the text of a statement, because TypeORM passes nothing else on. */
const PREPARED = /^-- prepared (\S+)\n/;

/**
 * Codes with which a statement is rejected, before it does anything, that would run without its name: a pooler such as
 * PgBouncer has given the connection another server process, which does not know it or knows it already; or a migration has
 * changed the columns that it returns.
 */
const NOT_KEPT: ReadonlySet<string> = new Set(['26000', '42P05', '0A000']);

/**
 * The statement as one that each connection parses once: for those that run for every request and take longer to plan than
 * to run. The text must be a constant, and no parameter may change the plan that is best.
 * @param name of at most 63 bytes; never of two different statements
 */
export function prepared(name: string, sql: string): string {
  return `-- prepared ${name}\n${sql}`;
}

function nameOf(statement: unknown): string | undefined {
  if (typeof statement !== 'string' || !statement.startsWith('--')) return undefined;
  return PREPARED.exec(statement)?.[1];
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
