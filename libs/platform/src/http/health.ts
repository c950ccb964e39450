import pg from 'pg';
import { withTimeout } from '../async/async.js';
import { databasePool } from '../database/database.js';
import { explain } from '../errors/fatal-error.js';

/** A readiness probe times out after a few seconds. */
const CHECK_TIMEOUT_MS = 2_000;
/** Longer than the interval of probes. */
const IDLE_TIMEOUT_MS = 60_000;

/**
 * `degraded`: work is accepted in a fallback mode, such as a gateway that stores events on its own disk because the
 * broker is unavailable.
 */
export type Readiness = boolean | 'degraded';

/** With the reason if not simply ready, for operators and without secrets. */
export interface HealthResult {
  healthy: Readiness;
  reason?: string | undefined;
}

/** The checks of this process, by address: apps that share the process share their connection. */
const databaseChecks = new Map<string, DatabaseCheck>();

/**
 * Readiness check: whether PostgreSQL answers now. Uses its own connection, one per process, because all others may be
 * busy. Returns within its time limit, and opens no second connection while one hangs.
 */
export async function checkDatabase(url: string): Promise<HealthResult> {
  let check = databaseChecks.get(url);
  if (!check) databaseChecks.set(url, (check = new DatabaseCheck(url)));
  return await check.run();
}

/** Called at the shutdown of the process; a later check opens a connection again. */
export async function closeDatabaseChecks(): Promise<void> {
  const checks = [...databaseChecks.values()];
  databaseChecks.clear();
  await Promise.all(checks.map((check) => check.close()));
}

class DatabaseCheck {
  private readonly pool: pg.Pool;
  private running: Promise<HealthResult> | undefined;

  constructor(url: string) {
    this.pool = databasePool({
      connectionString: url,
      application_name: 'b24-relay readiness',
      max: 1,
      keepAlive: true,
      connectionTimeoutMillis: CHECK_TIMEOUT_MS,
      query_timeout: CHECK_TIMEOUT_MS,
      idleTimeoutMillis: IDLE_TIMEOUT_MS,
      allowExitOnIdle: true,
    });
  }

  /** Concurrent callers share one query. */
  async run(): Promise<HealthResult> {
    this.running ??= this.ask().finally(() => (this.running = undefined));
    return await withTimeout(this.running, CHECK_TIMEOUT_MS).catch(unhealthy);
  }

  async close(): Promise<void> {
    await this.pool.end();
  }

  private async ask(): Promise<HealthResult> {
    try {
      await this.pool.query('SELECT 1');
      return { healthy: true };
    } catch (error) {
      // Too many connections: the others are working.
      if (error instanceof pg.DatabaseError && error.code === '53300') return { healthy: true };
      return unhealthy(error);
    }
  }
}

function unhealthy(error: unknown): HealthResult {
  return {
    healthy: false,
    reason: explain(error) ?? 'PostgreSQL does not answer at the address in DATABASE_URL.',
  };
}
