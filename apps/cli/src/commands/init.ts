import { packageFile, readEnvironment, StartupError, EnvironmentError } from '@relay/platform';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import type { GivenOptions, Report } from '../program/command.js';
import { prompt } from '../terminal/terminal.js';
import { UsageError } from '../arguments/usage-error.js';

const DEFAULT_FILE = '.env';

/**
 * Fills in `.env.example`: what only the operator knows is asked, unless an option says it; keys and passwords are
 * made. Piped input answers line by line.
 * @throws UsageError for an address or keys that the services would not accept; StartupError if the file exists
 */
export async function initialize(given: GivenOptions): Promise<Report> {
  const answers = await askFor(given);
  const values = { ...answers, ...freshSecrets() };
  requireValid(values);
  const text = fillIn(readFileSync(packageFile('.env.example'), 'utf8'), values);
  if (given.print) return { value: values, text: text.trimEnd() };
  const file = given.file ?? DEFAULT_FILE;
  write(file, text);
  const keys = answers.B24_CLIENT_ID === '' ? 'without the keys of an application' : 'with your keys';
  return {
    value: { file },
    text: `${file} is written, ${keys}. Store a copy of TOKEN_KEYS elsewhere: without it the tokens in the database cannot be read.\nNext: docker compose up -d --build --wait`,
  };
}

interface Answers {
  PUBLIC_URL: string;
  B24_CLIENT_ID: string;
  B24_CLIENT_SECRET: string;
}

async function askFor({ url, clientId }: GivenOptions): Promise<Answers> {
  const questions: [keyof Answers, string | undefined, string][] = [
    ['PUBLIC_URL', url, 'Public address of the gateway (https://…)'],
    ['B24_CLIENT_ID', clientId, 'client_id of the application (empty: not known yet, or webhooks only)'],
    // Never an option: every user of the machine can read a command line.
    [
      'B24_CLIENT_SECRET',
      clientId === '' ? '' : process.env['B24_CLIENT_SECRET'],
      'client_secret of the application',
    ],
  ];
  const open = questions.filter(([, known]) => known === undefined);
  const typed = open.length === 0 ? [] : await prompt(open.map(([, , question]) => question));
  const answers: Answers = { PUBLIC_URL: '', B24_CLIENT_ID: '', B24_CLIENT_SECRET: '' };
  for (const [name, known] of questions) if (known !== undefined) answers[name] = known.trim();
  open.forEach(([name], at) => (answers[name] = typed[at] ?? ''));
  answers.PUBLIC_URL = answers.PUBLIC_URL.replace(/\/+$/, '');
  return answers;
}

const password = (): string => randomBytes(16).toString('hex');

function freshSecrets() {
  return {
    TOKEN_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    OPS_TOKEN: password(),
    POSTGRES_PASSWORD: password(),
    POSTGRES_SERVICE_PASSWORD: password(),
    RABBITMQ_PASSWORD: password(),
  };
}

type Values = Answers & ReturnType<typeof freshSecrets>;

function requireValid(values: Values): void {
  const { PUBLIC_URL: address } = values;
  if (!/^https:\/\/[\w-]+(\.[\w-]+)+(:\d{1,5})?$/.test(address)) {
    throw new UsageError(
      'The public address must be https, with a host that has a dot, and without a path: such as https://relay.example.com',
    );
  }
  // An end of line, a quote or a $ would mean something to compose.
  const odd = (['B24_CLIENT_ID', 'B24_CLIENT_SECRET'] as const).find(
    (name) => !/^[\w.-]{0,255}$/.test(values[name]),
  );
  if (odd !== undefined)
    throw new UsageError(`${odd} has letters, digits, dots, _ and - only: copy it once more.`);
  try {
    readEnvironment(['PUBLIC_URL', 'B24_CLIENT_ID', 'B24_CLIENT_SECRET', 'TOKEN_KEYS', 'OPS_TOKEN'], {
      ...values,
    });
  } catch (error) {
    if (error instanceof EnvironmentError) throw new UsageError(error.problems.join('\n'), { cause: error });
    throw error;
  }
}

/** Keeps every comment and every other variable. */
function fillIn(example: string, values: Values): string {
  let text = example;
  for (const [name, value] of Object.entries(values)) {
    const line = new RegExp(`^${name}=.*$`, 'm');
    if (!line.test(text)) throw new Error(`.env.example has no ${name}`);
    text = text.replace(line, () => `${name}=${value}`);
  }
  return text.replace(/^# Copy to \.env and fill in: /, '# Made by relay init: ');
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    const code = z.object({ code: z.string() }).safeParse(error).data?.code;
    if (code === 'EEXIST')
      throw new StartupError(`${file} exists, and is not overwritten: move it away first.`, { cause: error });
    throw new StartupError(`${file} cannot be written (${code ?? 'unknown error'}).`, { cause: error });
  }
}
