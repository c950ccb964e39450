import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { CommanderError } from 'commander';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { commands } from '../commands.js';
import { formatCompletion } from '../commands/completion.js';
import { createProgram, type Call } from './program.js';
import { UsageError } from '../arguments/usage-error.js';

let calls: Call[];
let [out, err] = ['', ''];

beforeEach(() => {
  [calls, out, err] = [[], '', ''];
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => ((out += String(text)), true));
  jest.spyOn(process.stderr, 'write').mockImplementation((text) => ((err += String(text)), true));
});
afterEach(() => {
  jest.restoreAllMocks();
});

/** @returns the exit code that commander asks for; undefined when the command was called */
async function type(...args: string[]): Promise<number | undefined> {
  const program = createProgram(commands, '1.2.3', async (call) => void calls.push(call));
  try {
    await program.parseAsync(args, { from: 'user' });
    return undefined;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    throw error;
  }
}

/** As a shell splits it: words, and one in single quotes. */
const wordsOf = (line: string): string[] =>
  [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');

describe('the command line', () => {
  it.each(commands.map((command) => [command.example, command] as const))(
    '%s works',
    async (example, command) => {
      const [relay, ...args] = wordsOf(example.replace(/^source <\((.*)\)$/, '$1'));
      expect([relay, await type(...args)]).toEqual(['relay', undefined]);
      expect(calls.map((call) => call.command.name)).toEqual([command.name]);
      expect(calls[0]?.positionals).toHaveLength(command.positionals?.length ?? 0);
    },
  );

  it.each(commands.map(({ name, example }) => [name, example]))(
    '%s has a help with its example',
    async (name, example) => {
      expect(await type(...name.split(' '), '--help')).toBe(0);
      expect(out).toContain(`Usage: relay ${name}`);
      expect(out).toContain(`Example:\n  $ ${example}`);
      expect(out).toContain('--json');
    },
  );

  it('lists every command in its help', async () => {
    expect(await type('--help')).toBe(0);
    for (const { name } of commands) expect(out).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
    expect(out).toContain('dead show <consumer> <id>');
  });

  it('has a version', async () => {
    expect([await type('--version'), out]).toEqual([0, '1.2.3\n']);
  });

  it('takes options anywhere', async () => {
    await type('--json', 'dead', 'list', '--consumer', 'one');
    await type('dead', '--json', 'list', '--consumer', 'one');
    await type('dead', 'list', '--consumer', 'one', '--json');
    expect(calls).toHaveLength(3);
    for (const call of calls) expect(call).toMatchObject({ isJson: true, options: { consumer: 'one' } });
  });

  it('reads numbers and times', async () => {
    await type('dead', 'replay', '--limit', '7', '--rate', '2.5', '--since', '2026-11-25');
    expect(calls[0]?.options).toEqual({ limit: 7, rate: 2.5, since: '2026-11-25T00:00:00.000Z' });
  });

  it.each([
    [['portals', 'test'], "missing required argument 'portal'"],
    [['portals', 'set', 'acme'], "missing required argument 'consumer'"],
    [['portls'], "unknown command 'portls'\n(Did you mean portals?)"],
    [['portals', 'shwo', 'acme'], "unknown command 'shwo'\n(Did you mean show?)"],
    [['portals', 'zzzzzz'], "unknown command 'zzzzzz'\n"],
    [['dead', 'list', '--consumr', 'x'], "unknown option '--consumr'\n(Did you mean --consumer?)"],
    [['dead', 'list', '--consumer'], "option '--consumer <name>' argument missing"],
    [['dead', 'list', '--limit', '1.5'], 'must be a whole number'],
    [['dead', 'replay', '--rate', '1001'], 'from 1 to 1000'],
    [['dead', 'list', '--until', '2026-11-25T08:00'], 'is no time'],
    [['topology', 'now'], "one argument too many: 'now'"],
  ])('says what is wrong with %j', async (args, words) => {
    expect(await type(...args)).toBe(1);
    expect(err).toMatch(/^relay: /);
    expect(err).toContain(words);
    expect(calls).toEqual([]);
  });

  it('shows neither a secret nor a control character of what was typed', async () => {
    const secret = 'https://acme.bitrix24.com/rest/1/abcdefghij0123456789/';
    await type('portals', 'webhooks', secret);
    await type(secret);
    await type('portals', '--\u001b[2J\u202e');
    expect(err).not.toContain('abcdefghij0123456789');
    expect(err).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u);
  });
});

it('every command has a line in docs/operating.md, and no other', () => {
  const docs = readFileSync(join(import.meta.dirname, '../../../../docs/operating.md'), 'utf8');
  const [, section = ''] = /\n## Commands\n([\s\S]*?)\n## /.exec(docs) ?? [];
  const listed = [...section.matchAll(/^\| `relay ([a-z ]+?)(?: [<[-].*?)?` +\|/gm)].map(([, name]) => name);
  expect(listed).toEqual(commands.map(({ name }) => name));
});

/** What bash offers after these words; the last one is being typed. */
function offers(...words: string[]): string[] {
  const script = `${formatCompletion(commands, 'bash').text}
COMP_WORDS=(relay ${words.map((word) => `'${word}'`).join(' ')})
COMP_CWORD=${words.length}
_relay
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
  return stdout.split('\n').filter((word) => word !== '');
}

/** What zsh offers after these words, as `compadd` is told, which matches them with the word being typed. */
function offersInZsh(...words: string[]): string[] {
  const script = `compdef() { registered="$*"; }
compadd() { [[ $1 == -- ]] && shift; printf '%s\\n' "$@"; }
${formatCompletion(commands, 'zsh').text}
[[ $registered == '_relay relay' ]] || exit 9
words=(relay ${words.map((word) => `'${word}'`).join(' ')})
CURRENT=${words.length + 1}
_relay`;
  const { stdout, stderr, status } = spawnSync('zsh', ['-fc', script], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
  return stdout.split('\n').filter((word) => word.startsWith(words.at(-1) ?? '') && word !== '');
}

describe('completion', () => {
  it('offers commands, then the commands below them, then their options', () => {
    expect(offers('de')).toEqual(['dead']);
    expect(offers('')).toEqual(expect.arrayContaining(['portals', 'topology', '--version']));
    expect(offers('dead', '')).toEqual(['list', 'show', 'replay', 'drop']);
    expect(offers('portals', 're')).toEqual(['resume', 'remove']);
    expect(offers('dead', 'list', '--s')).toEqual(['--since']);
    expect(offers('dead', 'list', '--since', '2h', '--')).toEqual(
      expect.arrayContaining(['--limit', '--json']),
    );
    expect(offers('dead', 'show', 'name-formatter', '--a')).toEqual([]);
  });

  const zsh = spawnSync('zsh', ['--version']).status === 0 ? it : it.skip;
  zsh('offers the same in zsh', () => {
    for (const words of [
      ['de'],
      [''],
      ['dead', ''],
      ['portals', 're'],
      ['dead', 'list', '--since', '2h', '--'],
    ])
      expect(offersInZsh(...words)).toEqual(offers(...words));
    expect(offersInZsh('dead', '')).toEqual(['list', 'show', 'replay', 'drop']);
  });

  it('is for these two shells', () => {
    for (const shell of ['fish', 'constructor', ''])
      expect(() => formatCompletion(commands, shell)).toThrow(UsageError);
  });
});
