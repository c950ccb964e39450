import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { commandOf, DatabaseClient, StartupError, startOf } from '@relay/platform';
import pg from 'pg';
import { freePort } from '../process/ports.js';
import type { ResourceStack } from '../process/resource-stack.js';
import { findBinaries } from './binaries.js';
import { DATABASE_USER, dataOf, ensureCluster, quietEnvironment } from './cluster.js';
import type { PostgresDataDir } from './postgres-data-dir.js';

/** Recovery after a power cut may take its time. */
const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 20_000;
/** Something else may take a port between its choice and its use. */
const MAX_PORT_ATTEMPTS = 5;
const CANNOT_LISTEN = 'could not create any TCP/IP sockets';

/** Fast shutdown writes a checkpoint first; immediate shutdown leaves that to the next start. */
const ORPHAN_STAGES = [
  { signal: 'SIGINT', waitMs: 20_000 },
  { signal: 'SIGQUIT', waitMs: 5_000 },
] as const;

interface PostgresOptions {
  dataDir: PostgresDataDir;
  password: string;
  logFile: string;
  /** It ended though nobody asked it to. */
  onCrash: () => void;
  /** Asked again when the port is taken after all. */
  choosePort?: () => Promise<number>;
}

/** A real PostgreSQL on 127.0.0.1, ended with this process. @returns its address */
export async function startPostgres(parts: ResourceStack, options: PostgresOptions): Promise<string> {
  const { dataDir, password, choosePort = freePort } = options;
  const binaries = findBinaries(dataDir);
  await stopOrphan(dataOf(dataDir));
  await ensureCluster(dataDir, binaries, password);
  for (let tries = 1; ; tries += 1) {
    const port = await choosePort();
    const url = `postgres://${DATABASE_USER}:${password}@127.0.0.1:${port}/postgres`;
    const reason = await launch(parts, options, binaries.postgres, port, url);
    if (reason === undefined) return url;
    const isTaken = reason.includes(CANNOT_LISTEN);
    if (!isTaken || tries >= MAX_PORT_ATTEMPTS || parts.isClosing) {
      throw new StartupError(`PostgreSQL does not start: ${reason} (${options.logFile})`);
    }
  }
}

/**
 * After a kill -9 of this process its PostgreSQL goes on alone: it is stopped. Only for the holder of the folder's
 * lock. An id in `postmaster.pid` that belongs to another program by now would keep PostgreSQL from starting.
 */
async function stopOrphan(data: string): Promise<void> {
  const file = join(data, 'postmaster.pid');
  if (!existsSync(file)) return;
  const pid = Number(readFileSync(file, 'utf8').split('\n', 1)[0]);
  const start = startOf(pid);
  const command = commandOf(pid);
  if (start === undefined || command === undefined) return;
  if (!command.includes(data)) {
    rmSync(file);
    return;
  }
  for (const { signal, waitMs } of ORPHAN_STAGES) {
    process.kill(pid, signal);
    for (const until = Date.now() + waitMs; Date.now() < until; await pause(25)) {
      if (startOf(pid) !== start) return;
    }
  }
  throw new StartupError(`A PostgreSQL of an earlier start (process ${pid}) does not end: end it yourself.`);
}

/** Resolves when it takes connections, or with the reason why it has ended instead. */
async function launch(
  parts: ResourceStack,
  { dataDir, logFile, onCrash }: PostgresOptions,
  binary: string,
  port: number,
  url: string,
): Promise<string | undefined> {
  const log = openSync(logFile, 'a', 0o600);
  const logStart = statSync(logFile).size;
  // In its own session, without the terminal's Ctrl-C: batches in flight need the server until they end.
  const server = spawn(binary, ['-D', dataOf(dataDir), '-p', String(port), ...settings], {
    ...dataDir.user,
    cwd: dataDir.path,
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
  const failed = once(server, 'exit').then(() => reasonIn(logFile, logStart));
  const reason = await Promise.race([accepts(server, dataOf(dataDir), url), failed]);
  if (reason !== undefined) return reason;
  server.once('exit', () => {
    if (!isStopping) onCrash();
  });
  return undefined;
}

const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories='].flatMap((setting) => [
  '-c',
  setting,
]);

/** Resolves when the server takes connections. Never when it has ended: then there is a reason to wait for. */
async function accepts(server: ChildProcess, data: string, url: string): Promise<undefined> {
  for (const until = Date.now() + START_TIMEOUT_MS; isRunning(server); await pause(50)) {
    // Another program's PostgreSQL may answer on a port that ours could not have.
    if (!saysReady(data, server.pid) && Date.now() < until) continue;
    const client = new DatabaseClient({ connectionString: url });
    try {
      await client.connect();
      await client.end();
      return undefined;
    } catch (error) {
      // A rejected password: waiting does not help.
      const code = error instanceof pg.DatabaseError ? error.code : undefined;
      if (code === '28P01') {
        throw new StartupError(
          'PostgreSQL rejects the POSTGRES_PASSWORD of secrets.env: put back the one that it was made with.',
        );
      }
      if (Date.now() > until) throw error;
    }
  }
  return new Promise(() => undefined);
}

/** As `pg_ctl` looks: the first line of `postmaster.pid` is the process, the eighth its state. */
function saysReady(data: string, pid: number | undefined): boolean {
  const file = join(data, 'postmaster.pid');
  if (!existsSync(file)) return false;
  const lines = readFileSync(file, 'utf8').split('\n');
  return Number(lines[0]) === pid && lines[7]?.trim() === 'ready';
}

function isRunning({ pid, exitCode, signalCode }: ChildProcess): boolean {
  return pid !== undefined && exitCode === null && signalCode === null;
}

async function stop(server: ChildProcess): Promise<void> {
  if (!isRunning(server)) return;
  const ended = once(server, 'exit');
  const late = setTimeout(() => server.kill('SIGQUIT'), STOP_TIMEOUT_MS);
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
