import pg from 'pg';
import { within } from './async.js';
import { databasePool } from './database.js';
import { explain } from './fatal-error.js';

/** Whoever asks for readiness gives up after a few seconds. */
const CHECK_TIMEOUT_MS = 2_000;
/** Longer than the time between two probes. */
const IDLE_TIMEOUT_MS = 60_000;

/**
 * `degraded`: work is taken, but not in the way it should be, such as a gateway that keeps events on its own disk
 * because the broker is away.
 */
export type Readiness = boolean | 'degraded';

/** With the reason why it is not simply ready, in an operator's words and without secrets. */
export interface HealthResult {
  healthy: Readiness;
  reason?: string | undefined;
}

/** The checks of this process, by address: apps that share the process share their connection. */
const databaseChecks = new Map<string, DatabaseCheck>();

/**
 * For a readiness check: whether PostgreSQL answers now. On one connection of its own per process, since the others may
 * all be at work. Answers within its time limit, and opens no second connection while one hangs.
 */
export async function checkDatabase(url: string): Promise<HealthResult> {
  let check = databaseChecks.get(url);
  if (!check) databaseChecks.set(url, (check = new DatabaseCheck(url)));
  return await check.run();
}

/** At the shutdown of the process; a later check opens a connection again. */
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

  /** All who ask meanwhile share one question. */
  async run(): Promise<HealthResult> {
    this.running ??= this.ask().finally(() => (this.running = undefined));
    return await within(this.running, CHECK_TIMEOUT_MS).catch(unhealthy);
  }

  async close(): Promise<void> {
    await this.pool.end();
  }

  private async ask(): Promise<HealthResult> {
    try {
      await this.pool.query('SELECT 1');
      return { healthy: true };
    } catch (error) {
      // No room for one more connection: the others are at work.
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
