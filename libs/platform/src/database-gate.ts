import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import type { Log } from './logger.js';
import { requireMigrations } from './migrations.js';
import { isRefusal } from './startup-error.js';

const connectTimeoutMs = 5_000;
const longestPauseMs = 10_000;

/**
 * Waits until PostgreSQL answers, saying so in the log: after a power cut everything starts at once. Refusals that no
 * waiting mends (password, user, no such database) are thrown.
 */
export async function awaitDatabase(url: string, log: Log): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: connectTimeoutMs });
    // A connection that breaks while it is closed must not end the process.
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.end();
      return;
    } catch (error) {
      if (isRefusal(error)) throw error;
      const at = new URL(url).host;
      const reason = error instanceof Error && 'code' in error ? error.code : 'no answer';
      log.warn({ at, reason }, 'PostgreSQL does not answer; is DATABASE_URL right? Trying again');
      await pause(Math.min(longestPauseMs, 500 * 2 ** tries));
    }
  }
}

/** For every app's start: PostgreSQL answers, and is not older than this version. @throws StartupError */
export async function requireDatabase(url: string, log: Log): Promise<void> {
  await awaitDatabase(url, log);
  await requireMigrations(url);
}
