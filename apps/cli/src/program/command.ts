import type { AdminClient } from '../client/admin-client.js';
import {
  parseEvents,
  parseLimit,
  parseObjectType,
  parseRate,
  parseTime,
} from '../arguments/option-values.js';

/** The result of a command: `value` for `--json`, `text` for a person. */
export interface Report {
  value: unknown;
  text: string;
  /** 1 if the command worked and found a problem. */
  exitCode?: 0 | 1;
}

interface OptionShape {
  /** As commander reads it; with `<`, it takes a value. */
  flags: string;
  summary: string;
  /** @throws UsageError */
  parse?: (text: string) => unknown;
}

const TIME_HINT = 'such as 2026-11-25T08:00:00Z, or an age: 90s, 30m, 2h, 7d';

/** All options of all commands; each command has `--json`. The key is the flag in camel case. */
export const OPTIONS_OF_COMMANDS = {
  consumer: { flags: '--consumer <name>', summary: 'only of this consumer' },
  portal: { flags: '--portal <portal>', summary: 'only of this portal' },
  thing: { flags: '--thing <key>', summary: 'only of this thing, such as CRMCONTACT:82' },
  name: { flags: '--name <event>', summary: 'only with this name, such as ONCRMCONTACTUPDATE' },
  outcome: {
    flags: '--outcome <outcome>',
    summary: 'only these: received (no consumer has decided yet), done, merged, retry, wait or dead',
  },
  follow: { flags: '--follow', summary: 'shows new ones, and what becomes of them, until Ctrl-C' },
  error: { flags: '--error <code>', summary: 'only with this error code' },
  since: { flags: '--since <time>', summary: `only from this time on, ${TIME_HINT}`, parse: parseTime },
  until: { flags: '--until <time>', summary: `only up to this time, ${TIME_HINT}`, parse: parseTime },
  id: { flags: '--id <id>', summary: 'only the one with this id' },
  limit: { flags: '--limit <number>', summary: 'at most so many', parse: parseLimit },
  after: { flags: '--after <id>', summary: 'goes on after this one of a --consumer' },
  rate: { flags: '--rate <per second>', summary: 'so many a second, 1 to 1000', parse: parseRate },
  all: { flags: '--all', summary: 'all of them' },
  events: {
    flags: '--events <names>',
    summary: 'a comma list: ONCRMDEALADD,ONCRMDEALUPDATE',
    parse: parseEvents,
  },
  drain: { flags: '--drain', summary: 'it gets no new events from now on; nothing is removed' },
  drop: { flags: '--drop', summary: 'deletes the messages that are left with it' },
  clean: { flags: '--clean', summary: 'deletes its settings, too' },
  entity: {
    flags: '--entity <entity>',
    summary: 'only of lead, deal, contact, company, quote, invoice, or a smart process by its number',
    parse: parseObjectType,
  },
  url: { flags: '--url <address>', summary: 'the public address of the gateway: https://relay.example.com' },
  clientId: { flags: '--client-id <id>', summary: "the application's client_id" },
  file: { flags: '--file <path>', summary: 'another file than .env' },
  print: { flags: '--print', summary: 'writes to standard output instead of a file' },
  yes: { flags: '--yes', summary: 'asks nothing' },
} as const satisfies Record<string, OptionShape>;
type OptionName = keyof typeof OPTIONS_OF_COMMANDS;

type ValueOf<Shape> = Shape extends { parse: (text: string) => infer Value }
  ? Value
  : Shape extends { flags: `${string}<${string}` }
    ? string
    : boolean;
export type GivenOptions = { [Name in OptionName]?: ValueOf<(typeof OPTIONS_OF_COMMANDS)[Name]> };

/** What a positional argument means, by its name. */
export const POSITIONALS = {
  portal: 'its domain, the first part of its domain, or its member_id',
  consumer: 'such as name-formatter; `relay queues` lists them',
  id: 'as the list shows it',
  json: 'an object',
  limit: 'usual, enterprise, free, or <rate>/<burst> such as 5/250',
  mode: 'online, offline or both',
  shell: 'bash or zsh',
} as const;
type PositionalName = keyof typeof POSITIONALS;

interface CommandShape {
  /** One or two words, such as `dead list`. */
  name: string;
  positionals?: readonly PositionalName[];
  /** The last positional may be left out. */
  isLastOptional?: boolean;
  options?: readonly OptionName[];
  /** One line. */
  summary: string;
  /** A whole command line that works. */
  example: string;
}

/** A command that asks the control plane. */
interface AdminCommand extends CommandShape {
  run(api: AdminClient, positionals: readonly string[], options: GivenOptions): Promise<Report>;
}

/** A command that works without a control plane. */
interface LocalCommand extends CommandShape {
  runLocally(positionals: readonly string[], options: GivenOptions): Promise<Report>;
}

export type Command = AdminCommand | LocalCommand;
