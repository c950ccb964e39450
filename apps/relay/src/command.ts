import type { OpsClient } from './ops-client.js';
import type { Report } from './report.js';

/** Every option that some command has; all of them have `--json`. */
export const optionsOfCommands = {
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
export type OptionName = keyof typeof optionsOfCommands;

export type GivenOptions = {
  [Name in OptionName]?: (typeof optionsOfCommands)[Name]['type'] extends 'boolean' ? boolean : string;
};

export interface Command {
  /** What it is called by, such as `dead list`. */
  name: string;
  /** Words that come after it, each with a value. */
  words?: readonly string[];
  options?: readonly OptionName[];
  /** What it does, in one line. */
  says: string;
  run(api: OpsClient, words: readonly string[], options: GivenOptions): Promise<Report>;
}
