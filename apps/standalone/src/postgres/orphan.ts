import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { StartupError } from '@relay/platform';
import { commandOf, startOf } from '../data-dir/process-identity.js';

/** Fast shutdown writes a checkpoint first; immediate shutdown leaves that to the next start. */
const STAGES = [
  { signal: 'SIGINT', waitMs: 20_000 },
  { signal: 'SIGQUIT', waitMs: 5_000 },
] as const;

/**
 * After a kill -9 of this process its PostgreSQL goes on alone: it is stopped. Only for the holder of the folder's
 * lock. An id in `postmaster.pid` that belongs to another program by now would keep PostgreSQL from starting.
 */
export async function stopOrphan(data: string): Promise<void> {
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
  for (const { signal, waitMs } of STAGES) {
    process.kill(pid, signal);
    for (const until = Date.now() + waitMs; Date.now() < until; await pause(25)) {
      if (startOf(pid) !== start) return;
    }
  }
  throw new StartupError(`A PostgreSQL of an earlier start (process ${pid}) does not end: end it yourself.`);
}
