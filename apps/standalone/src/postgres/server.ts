import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { StartupError } from '@relay/platform';
import pg from 'pg';
import { freePort } from '../ports.js';
import type { RunningParts } from '../running-parts.js';
import { findBinaries } from './binaries.js';
import { databaseUser, dataOf, ensureCluster, quietEnvironment } from './cluster.js';
import { stopOrphan } from './orphan.js';
import type { Place } from './place.js';

/** Recovery after a power cut may take its time. */
const startTimeoutMs = 120_000;
const stopTimeoutMs = 20_000;

export interface PostgresOptions {
  place: Place;
  password: string;
  logFile: string;
  /** It ended though nobody asked it to. */
  onCrash: () => void;
}

/** A real PostgreSQL on 127.0.0.1, ended with this process. @returns its address */
export async function startPostgres(parts: RunningParts, options: PostgresOptions): Promise<string> {
  const { place, password, logFile, onCrash } = options;
  const binaries = findBinaries(place);
  await stopOrphan(dataOf(place));
  await ensureCluster(place, binaries, password);
  const port = await freePort();
  const log = openSync(logFile, 'a', 0o600);
  const logStart = statSync(logFile).size;
  // In a session of its own: the terminal's Ctrl-C is not for it, since batches in hand need it to the end.
  const server = spawn(binaries.postgres, ['-D', dataOf(place), '-p', String(port), ...settings], {
    ...place.user,
    cwd: place.path,
    env: quietEnvironment(),
    stdio: ['ignore', log, log],
    detached: true,
    windowsHide: true,
  });
  closeSync(log);
  let isStopping = false;
  const kill = (): void => void server.kill('SIGQUIT');
  process.once('exit', kill);
  server.once('exit', () => process.off('exit', kill));
  parts.add(async () => {
    isStopping = true;
    await stop(server);
  });
  const url = `postgres://${databaseUser}:${password}@127.0.0.1:${port}/postgres`;
  const failed = once(server, 'exit').then(() => reasonIn(logFile, logStart));
  const reason = await Promise.race([accepts(url), failed]);
  if (reason !== undefined) throw new StartupError(`PostgreSQL does not start: ${reason} (${logFile})`);
  server.once('exit', () => {
    if (!isStopping) onCrash();
  });
  return url;
}

const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories='].flatMap((setting) => [
  '-c',
  setting,
]);

/** Resolves when the server takes connections. */
async function accepts(url: string): Promise<undefined> {
  for (const until = Date.now() + startTimeoutMs; ; await pause(50)) {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.end();
      return undefined;
    } catch (error) {
      // Of the password: no waiting mends it.
      const code = error instanceof pg.DatabaseError ? error.code : undefined;
      if (code === '28P01') {
        throw new StartupError(
          'PostgreSQL refuses the POSTGRES_PASSWORD of secrets.env: put back the one that it was made with.',
        );
      }
      if (Date.now() > until) throw error;
    }
  }
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null || server.pid === undefined) return;
  const ended = once(server, 'exit');
  const late = setTimeout(() => server.kill('SIGQUIT'), stopTimeoutMs);
  server.kill('SIGINT');
  await ended;
  clearTimeout(late);
}

/** The first line of this start that says why it was the last. */
function reasonIn(logFile: string, from: number): string {
  const lines = readFileSync(logFile).subarray(from).toString('utf8').split('\n');
  const reasons = lines.filter((line) => /FATAL|DETAIL|PANIC|error/.test(line));
  return (
    reasons.map((line) => line.replace(/^.*?(FATAL|DETAIL|PANIC): +/, '')).join(' ') || 'it ends at once'
  );
}
