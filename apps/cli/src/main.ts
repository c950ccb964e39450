import { escapeUnprintable, formatFatalError, packageFile, runMain, StartupError } from '@relay/platform';
import { CommanderError } from 'commander';
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { AdminClient } from './client/admin-client.js';
import { commands } from './commands.js';
import { createProgram, type Call } from './program/program.js';
import { UsageError } from './arguments/usage-error.js';

const MISUSE = 2;

await runMain('relay', async () => {
  const given = process.argv.slice(2);
  const program = createProgram(commands, readVersion(), call);
  try {
    await program.parseAsync(given.length === 0 ? ['--help'] : given, { from: 'user' });
  } catch (error) {
    // Commander has written what is wrong.
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : MISUSE;
    else if (error instanceof UsageError) {
      process.stderr.write(`relay: ${formatFatalError(error)}\n`);
      process.exitCode = MISUSE;
    } else throw understandable(error);
  }
});

async function call({ command, positionals, options, isJson }: Call): Promise<void> {
  const {
    value,
    text,
    exitCode = 0,
  } = await ('run' in command
    ? command.run(AdminClient.fromEnvironment(!isJson), positionals, options)
    : command.runLocally(positionals, options));
  const shown = `${isJson ? escapeUnprintable(JSON.stringify(value)) : text}\n`;
  // Not by itself: a check that had no answer in time keeps its connection.
  process.stdout.write(shown, () => process.exit(exitCode));
}

/** A schema's own error says nothing to an operator. */
function understandable(error: unknown): unknown {
  if (!(error instanceof z.ZodError)) return error;
  return new StartupError(
    'The control plane answers in a way that this relay does not know: use the relay of the same version.',
    { cause: error },
  );
}

function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(packageFile('package.json'), 'utf8'));
  return z.object({ version: z.string() }).parse(manifest).version;
}
