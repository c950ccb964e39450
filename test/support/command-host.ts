import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { deferred } from '../../libs/platform/src/async/async.js';
import { AppProcess } from './processes.js';

declare global {
  /** At most one that is idle, of this spec file or of those before in this worker process (test/runner/environment.mjs). */
  var idleCommandHosts: ChildProcess[] | undefined;
}

export interface Ended {
  code: number | null;
  /** Standard output and standard error. */
  screen: string;
}

interface CommandOptions {
  env: Record<string, string>;
  input?: string;
}

const answer = z.object({ id: z.string(), code: z.number(), screen: z.string(), isLast: z.boolean() });

/** Of this spec file. */
let isHostBusy = false;

/**
 * `relay` as built, in a process that other commands have had before (command-host.mjs). It is a process of its own where
 * that would make a difference: beside another command, with variables that Node reads once, and for `doctor`, whose
 * end with open connections is tested. For signals, and output before the end: `startCommand`.
 */
export async function runCommand(args: readonly string[], options: CommandOptions): Promise<Ended> {
  const isOfProcess = Object.keys(options.env).some((name) => /^(NODE|OTEL)_/.test(name));
  if (isHostBusy || isOfProcess || args[0] === 'doctor' || !globalThis.idleCommandHosts) {
    const run = startCommand(args, options);
    return { code: await run.end(), screen: run.log() };
  }
  isHostBusy = true;
  try {
    return await runHosted(args, options, globalThis.idleCommandHosts);
  } finally {
    isHostBusy = false;
  }
}

/** `relay` as built, as a process of its own. */
export function startCommand(args: readonly string[], { env, input = '' }: CommandOptions): AppProcess {
  return AppProcess.start('relay', 'apps/cli/src/main.js', env, { args, input });
}

async function runHosted(
  args: readonly string[],
  { env, input = '' }: CommandOptions,
  idleHosts: ChildProcess[],
): Promise<Ended> {
  const id = randomUUID();
  const answered = deferred<z.output<typeof answer>>();
  const onMessage = (message: unknown): void => {
    const told = answer.parse(message);
    if (told.id === id) answered.resolve(told);
  };
  const idle = takeIdle(idleHosts);
  const host = idle
    ? AppProcess.attach('command-host', idle, onMessage)
    : AppProcess.start('command-host', '../test/support/command-host.mjs', {}, { onMessage });
  host.send({ id, args, env: { PATH: process.env['PATH'], ...env }, input });
  const onEnd = host.end().then((code) => {
    throw new Error(`the process of the command ended with ${code}:\n${host.log()}`);
  });
  const { code, screen, isLast } = await Promise.race([answered.promise, onEnd]);
  const child = host.detach();
  if (!isLast) idleHosts.push(child);
  return { code, screen };
}

/** One that has ended since would answer no order. */
function takeIdle(idleHosts: ChildProcess[]): ChildProcess | undefined {
  for (;;) {
    const idle = idleHosts.pop();
    if (!idle || (idle.connected && idle.exitCode === null && idle.signalCode === null)) return idle;
  }
}
