import { escapeUnprintable, runMain, StartupError } from '@relay/platform';
import { parseArgs } from 'node:util';
import { formatHelp, OPTIONS_OF_COMMANDS, type Command, type GivenOptions, type Report } from './command.js';
import { commands } from './commands.js';
import { AdminClient } from './admin-client.js';

const help = formatHelp(commands);

await runMain('relay', async () => {
  const { json, help: isHelpWanted, options, positionals } = readArguments();
  if (isHelpWanted || positionals.length === 0) {
    process.stdout.write(`${help}\n`);
    return;
  }
  const { value, text, exitCode = 0 } = await run(positionals, options, json);
  process.stdout.write(`${json ? escapeUnprintable(JSON.stringify(value)) : text}\n`);
  process.exitCode = exitCode;
});

interface Arguments {
  json: boolean;
  help: boolean;
  options: GivenOptions;
  positionals: string[];
}

/** @throws StartupError for an unknown option */
function readArguments(): Arguments {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        ...OPTIONS_OF_COMMANDS,
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const { json, help: isHelpWanted, ...options } = values;
    return { json, help: isHelpWanted, options, positionals };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : '';
    throw new StartupError(`${reason}\n\n${help}`, { cause });
  }
}

async function run(given: readonly string[], options: GivenOptions, isJson: boolean): Promise<Report> {
  const command = given.includes('') ? undefined : commands.find((one) => matchesCommand(one, given));
  if (!command) throw new StartupError(`There is no such command: ${given.join(' ')}\n\n${help}`);
  requireOwnOptions(command, options);
  return command.run(
    AdminClient.fromEnvironment(!isJson),
    given.slice(command.name.split(' ').length),
    options,
  );
}

function matchesCommand({ name, positionals = [] }: Command, given: readonly string[]): boolean {
  const called = name.split(' ');
  return (
    given.length === called.length + positionals.length && called.every((word, at) => word === given[at])
  );
}

/** An ignored option could be a filter, and the command would affect more than intended. @throws StartupError */
function requireOwnOptions(command: Command, given: GivenOptions): void {
  const own: readonly string[] = command.options ?? [];
  const foreign = Object.keys(given).find((name) => !own.includes(name));
  if (foreign === undefined) return;
  throw new StartupError(`\`relay ${command.name}\` has no option --${foreign}\n\n${help}`);
}
