import { pause } from '../async/async.js';
import { DatabaseClient } from './database.js';
import { isPermanentRejection } from '../errors/fatal-error.js';
import type { Log } from '../telemetry/logger.js';
import { requireMigrations } from './migrations.js';

const CONNECT_TIMEOUT_MS = 5_000;
const MAX_RETRY_DELAY_MS = 10_000;

/**
 * Waits until PostgreSQL answers, and logs it: after a power cut all services start at once. Permanent rejections
 * (password, user, no such database) are thrown.
 */
export async function waitForDatabase(url: string, log: Log): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const client = new DatabaseClient({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
    try {
      await client.connect();
      await client.end();
      return;
    } catch (error) {
      if (isPermanentRejection(error)) throw error;
      const at = new URL(url).host;
      const reason = error instanceof Error && 'code' in error ? error.code : 'no answer';
      log.warn(
        { event: 'database.unreachable', at, reason },
        'PostgreSQL does not answer; is DATABASE_URL right? Trying again',
      );
      await pause(Math.min(MAX_RETRY_DELAY_MS, 500 * 2 ** tries));
    }
  }
}

/**
 * For the start of every app: waits until PostgreSQL answers, and requires this version's migrations. Warns about a
 * superuser: with its rights an injected statement could reach the server's files.
 * @throws StartupError
 */
export async function requireDatabase(url: string, log: Log): Promise<void> {
  await waitForDatabase(url, log);
  await requireMigrations(url);
  if (await isSuperuser(url)) {
    log.warn(
      { event: 'database.role.superuser' },
      'the user in DATABASE_URL is a superuser; docs/security.md says how services get a role of their own',
    );
  }
}

async function isSuperuser(url: string): Promise<boolean> {
  const client = new DatabaseClient({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  try {
    await client.connect();
    const { rows } = await client.query<{ is: boolean }>(
      'SELECT rolsuper AS is FROM pg_roles WHERE rolname = current_user',
    );
    return rows[0]?.is === true;
  } finally {
    await client.end();
  }
}
