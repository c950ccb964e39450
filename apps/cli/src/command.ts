import type { AdminClient } from './admin-client.js';

/** The result of a command: `value` for `--json`, `text` for a person. */
export interface Report {
  value: unknown;
  text: string;
  /** 1 if the command worked and found a problem. */
  exitCode?: 0 | 1;
}

/** All options of all commands; each command has `--json`. */
export const OPTIONS_OF_COMMANDS = {
  consumer: { type: 'string' },
  portal: { type: 'string' },
  error: { type: 'string' },
  since: { type: 'string' },
  until: { type: 'string' },
  id: { type: 'string' },
  limit: { type: 'string' },
  rate: { type: 'string' },
  all: { type: 'boolean' },
  drain: { type: 'boolean' },
  drop: { type: 'boolean' },
} as const;
export type OptionName = keyof typeof OPTIONS_OF_COMMANDS;

export type GivenOptions = {
  [Name in OptionName]?: (typeof OPTIONS_OF_COMMANDS)[Name]['type'] extends 'boolean' ? boolean : string;
};

export interface Command {
  /** One or two words, such as `dead list`. */
  name: string;
  positionals?: readonly string[];
  options?: readonly OptionName[];
  /** One line. */
  summary: string;
  run(api: AdminClient, positionals: readonly string[], options: GivenOptions): Promise<Report>;
}

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

/** Generated from the list of commands, so that none is missing. */
export function formatHelp(commands: readonly Command[]): string {
  const lines = commands.flatMap((command) => [
    `  ${formatUsage(command).padEnd(USAGE_WIDTH)}${command.summary}`,
    ...optionLines(command.options ?? []),
  ]);
  return `relay <command> [--json]

${lines.join('\n')}

A <time> is such as 2026-11-25T08:00:00Z, or an age: 90s, 30m, 2h, 7d.
relay sends requests to the running control plane on OPS_PORT, with OPS_TOKEN.`;
}

function formatUsage({ name, positionals = [] }: Command): string {
  return [name, ...positionals.map((positional) => `<${positional}>`)].join(' ');
}

function optionLines(options: readonly OptionName[]): string[] {
  if (options.length === 0) return [];
  const shown = options.map((name) =>
    OPTIONS_OF_COMMANDS[name].type === 'boolean' ? `--${name}` : `--${name} ${VALUES_OF[name] ?? ''}`,
  );
  return [`      ${shown.join('  ')}`];
}
