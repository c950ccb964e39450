import type { OpsClient } from './ops-client.js';
import type { Report } from './report.js';

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
  /** Its name, such as `dead list`. */
  name: string;
  /** Positional arguments. */
  positionals?: readonly string[];
  options?: readonly OptionName[];
  /** Its description, in one line. */
  summary: string;
  run(api: OpsClient, words: readonly string[], options: GivenOptions): Promise<Report>;
}
