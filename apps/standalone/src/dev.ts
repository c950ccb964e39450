/** `npm run dev -- <consumer>`: runs one consumer, and again at each change of its sources, beside or with an `npm start`. */
import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { holderOf, runMain, StartupError } from '@relay/platform';
import { findConsumers } from './consumers/find-consumers.js';
import { ConsumerProcess } from './dev/consumer-process.js';
import { removeOrphanedOutput } from './dev/orphaned-output.js';
import { watchSources } from './dev/source-watch.js';
import { readEnvironmentFile, takeOver, untilReleased } from './dev/take-over.js';
import { freePort } from './process/ports.js';
import { PROBLEM_MARK } from './process/screen.js';
import { endOnSignal, ResourceStack } from './process/resource-stack.js';
import { simulatorUrlOf } from './settings.js';
import { logFile } from './welcome.js';

/** Of the repository: `dist/apps/standalone/src` is below it. */
const ROOT = join(import.meta.dirname, '../../../..');
const SYSTEM_START_TIMEOUT_MS = 180_000;
const POLL_INTERVAL_MS = 100;
const run = promisify(execFile);

await runMain('b24-relay', async () => {
  const parts = new ResourceStack();
  endOnSignal(parts);
  try {
    await develop(parts, process.argv[2]);
  } catch (error) {
    if (parts.isClosing) return;
    await parts.close();
    throw error;
  }
});

async function develop(parts: ResourceStack, app: string | undefined): Promise<void> {
  const known = (await findConsumers()).map((found) => found.app);
  if (app === undefined || !known.includes(app))
    throw new StartupError(`npm run dev -- <consumer>: one of ${known.join(', ')}`);
  const dataDir = resolve(process.env['DATA_DIR'] || '.data');
  mkdirSync(dataDir, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
  parts.add(takeOver(dataDir, app));
  const variables = await system(parts, dataDir);
  await untilReleased(dataDir, app);
  const env = { ...variables, OPS_PORT: String(await freePort()) };

  let consumer: ConsumerProcess | undefined;
  parts.add(() => consumer?.stop());
  const start = async (): Promise<void> => {
    await migrate(env);
    if (!parts.isClosing) consumer = new ConsumerProcess({ app, env, logFile: logFile(dataDir), say });
  };
  const restart = async (projects: readonly string[]): Promise<void> => {
    try {
      if (parts.isClosing || !(await build(projects))) return;
      await consumer?.stop();
      await start();
    } catch (error) {
      // A Ctrl-C ends the migration, too.
      if (!parts.isClosing) say(`! ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  // One change after the other.
  let turn = start();
  const unwatch = watchSources(ROOT, app, (projects) => {
    turn = turn.then(() => restart(projects));
  });
  parts.add(unwatch);
  await turn;
  const simulator = simulatorUrlOf(variables);
  if (simulator !== undefined) say(`the simulated portal is at ${simulator}`);
  say(`watching apps/${app}/src and libs; Ctrl-C ends it`);
}

/** Of a running `npm start`, or of one that is started here. @returns what consumers are started with */
async function system(parts: ResourceStack, dataDir: string): Promise<Record<string, string>> {
  let own: ChildProcessByStdio<null, Readable, null> | undefined;
  if (holderOf(dataDir) === undefined) {
    say('starting the system, for no npm start runs');
    own = spawn(process.execPath, ['--enable-source-maps', join(import.meta.dirname, 'main.js')], {
      // It ends when this process is gone.
      env: { ...process.env, npm_lifecycle_event: 'start' },
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const child = own;
    // What it does itself is in its log; here it would stand between the lines of the consumer.
    createInterface(child.stdout).on('line', (line) => {
      if (line.startsWith(PROBLEM_MARK)) say(line);
    });
    const ended = once(child, 'exit');
    parts.add(async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      await ended;
    });
  }
  for (
    const until = Date.now() + SYSTEM_START_TIMEOUT_MS;
    Date.now() < until;
    await pause(POLL_INTERVAL_MS)
  ) {
    if (own?.exitCode !== undefined && own.exitCode !== null) break;
    const variables = readEnvironmentFile(dataDir);
    // A file whose npm start was killed says nothing.
    if (variables && holderOf(dataDir) !== undefined) return variables;
  }
  throw new StartupError('The system could not be started: what it wrote above says why.');
}

async function build(projects: readonly string[]): Promise<boolean> {
  const beganAt = performance.now();
  try {
    for (const project of projects)
      await run(process.execPath, [join(ROOT, 'node_modules/@nestjs/cli/bin/nest.js'), 'build', project], {
        cwd: ROOT,
      });
    for (const project of projects) removeOrphanedOutput(ROOT, project);
    say(`built ${projects.join(', ')} in ${Math.round(performance.now() - beganAt)} ms`);
    return true;
  } catch (error) {
    say(`! ${projects.join(', ')} cannot be built; what was built before runs on`);
    if (error instanceof Error && 'stderr' in error)
      process.stdout.write(withoutBacktrace(String(error.stderr)));
    return false;
  }
}

/** Of what the compiler says, the frames of its own code help nobody, nor what `nest build` notes of other projects. */
function withoutBacktrace(text: string): string {
  return text
    .replace(/^ Info .*\n/gm, '')
    .replace(/\n+Caused by:[^]*?\nStack backtrace:\n(?:\s+(?:\d+: |at ).*(?:\n|$))*/g, '\n');
}

/** @throws StartupError with what the migration says */
async function migrate(env: Record<string, string>): Promise<void> {
  try {
    await run(process.execPath, [join(import.meta.dirname, '../../../libs/platform/src/migrate.js')], {
      env: { ...process.env, ...env },
    });
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
    throw new StartupError(`The database cannot be migrated: ${said.split('\n', 1)[0]}`, { cause: error });
  }
}

function say(line: string): void {
  process.stdout.write(`${new Date().toTimeString().slice(0, 8)}  ${line}\n`);
}
