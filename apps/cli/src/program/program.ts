import { printableLines, redactText } from '@relay/platform';
import { Command as Node, Help, InvalidArgumentError, Option } from 'commander';
import { OPTIONS_OF_COMMANDS, POSITIONALS, type Command, type GivenOptions } from './command.js';
import { nearest, UsageError } from '../arguments/usage-error.js';

/** A command as it was called. */
export interface Call {
  command: Command;
  positionals: readonly string[];
  options: GivenOptions;
  isJson: boolean;
}

/**
 * The commands as a program of commander. Its `parseAsync` throws CommanderError for help and version (exit code 0) and
 * for a usage error, after it has written the text.
 */
export function createProgram(
  commands: readonly Command[],
  version: string,
  onCall: (call: Call) => Promise<void>,
): Node {
  const program = new Node('relay')
    .description('The command line of b24-relay, for operators.')
    .version(version, '-V, --version', 'shows the version')
    .helpOption('-h, --help', 'shows this, or the help of a command')
    .option('--json', 'prints JSON on one line')
    .addHelpText(
      'after',
      '\nExamples, arguments and options: relay <command> --help\n' +
        'Exit code: 0, 1 for a failure or a problem that was found, 2 for a usage error.\n' +
        'Most commands ask the control plane that runs on OPS_PORT, with OPS_TOKEN; both of npm start are found in DATA_DIR.',
    )
    .exitOverride()
    .configureOutput({
      // What was typed is quoted: it may hold a secret, or come from a foreign text.
      outputError: (text, write) =>
        write(`relay: ${printableLines(redactText(text.replace(/^error: /, '')))}`),
    });
  program.configureHelp({
    showGlobalOptions: true,
    // All commands at once, each by its whole name.
    visibleCommands: (node) => (node === program ? leafCommands(program) : new Help().visibleCommands(node)),
    subcommandTerm: (node) => usageOf(node),
  });
  for (const command of commands) addCommand(program, command, onCall);
  return program;
}

const definitionOf = new WeakMap<Node, Command>();

/** Those that can be called: `portals` as well as `portals test` below it. */
function leafCommands(node: Node): Node[] {
  const below = node.commands.flatMap(leafCommands);
  return definitionOf.has(node) ? [node, ...below] : below;
}

function usageOf(node: Node): string {
  const command = definitionOf.get(node);
  if (!command) return node.name();
  return [command.name, ...argumentsOf(command).map(({ syntax }) => syntax)].join(' ');
}

function argumentsOf({ positionals = [], isLastOptional = false }: Command) {
  return positionals.map((name, at) => ({
    name,
    syntax: isLastOptional && at === positionals.length - 1 ? `[${name}]` : `<${name}>`,
  }));
}

function addCommand(program: Node, command: Command, onCall: (call: Call) => Promise<void>): void {
  const { name, summary, example, positionals = [], options = [] } = command;
  const node = nodeOf(program, name.split(' '));
  definitionOf.set(node, command);
  node
    .description(summary)
    .showHelpAfterError(`See: relay ${name} --help`)
    .addHelpText('after', `\nExample:\n  $ ${example}`);
  for (const { name: positional, syntax } of argumentsOf(command)) {
    node.argument(syntax, POSITIONALS[positional]);
  }
  for (const option of options) node.addOption(optionOf(option));
  // A command such as `portals` has others below it, which commander looks for first.
  node.allowExcessArguments();
  node.action(async () => {
    requireNoMore(node, positionals.length);
    await onCall({
      command,
      positionals: node.args,
      options: node.opts<GivenOptions>(),
      isJson: program.opts<{ json?: boolean }>().json === true,
    });
  });
}

/** The node of these words, made where it is missing: the same one for `portals` and for `portals test`. */
function nodeOf(program: Node, words: readonly string[]): Node {
  let node = program;
  for (const word of words) {
    node =
      node.commands.find((one) => one.name() === word) ??
      node.command(word).helpCommand(false).helpOption('-h, --help', 'shows this');
  }
  return node;
}

function optionOf(name: keyof typeof OPTIONS_OF_COMMANDS): Option {
  const shape = OPTIONS_OF_COMMANDS[name];
  const option = new Option(shape.flags, shape.summary);
  if (!('parse' in shape)) return option;
  return option.argParser((text: string) => {
    try {
      return shape.parse(text);
    } catch (error) {
      if (error instanceof UsageError) throw new InvalidArgumentError(error.message);
      throw error;
    }
  });
}

/** Commander's own error for this would not say that a command is meant. */
function requireNoMore(node: Node, expected: number): void {
  const more = node.args[expected];
  if (more === undefined) return;
  const names = node.commands.map((one) => one.name());
  if (names.length === 0) node.error(`error: there is one argument too many: '${more}'`);
  const near = nearest(more, names);
  const hint = near === undefined ? '' : `\n(Did you mean ${near}?)`;
  node.error(`error: unknown command '${more}'${hint}`);
}
