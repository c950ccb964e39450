import { OPTIONS_OF_COMMANDS, type Command, type OptionName } from './command.js';

const USAGE_WIDTH = 46;

const VALUES_OF: Partial<Record<OptionName, string>> = {
  consumer: '<name>',
  portal: '<member_id>',
  error: '<code>',
  since: '<time>',
  until: '<time>',
  id: '<id>',
  limit: '<number>',
  rate: '<per second>',
};

/** Generated from the table of commands, so that none is missing. */
export function formatHelp(commands: readonly Command[]): string {
  const lines = commands.flatMap((command) => [
    `  ${formatUsage(command).padEnd(USAGE_WIDTH)}${command.summary}`,
    ...optionLines(command.options ?? []),
  ]);
  return `relay <command> [--json]

${lines.join('\n')}

A <time> is as 2026-11-25T08:00:00Z, or how long ago: 90s, 30m, 2h, 7d.
It talks to the running gateway through OPS_PORT with OPS_TOKEN.`;
}

function formatUsage({ name, positionals = [] }: Command): string {
  return [name, ...positionals.map((word) => `<${word}>`)].join(' ');
}

function optionLines(options: readonly OptionName[]): string[] {
  if (options.length === 0) return [];
  const shown = options.map((name) =>
    OPTIONS_OF_COMMANDS[name].type === 'boolean' ? `--${name}` : `--${name} ${VALUES_OF[name] ?? ''}`,
  );
  return [`      ${shown.join('  ')}`];
}
