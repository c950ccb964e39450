import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readEnvironment } from '../../libs/platform/src/environment/environment.js';
import { runCommand, type Ended } from '../support/command-host.js';

const example = readFileSync(join(import.meta.dirname, '../../.env.example'), 'utf8');
const namesIn = (text: string): string[] =>
  [...text.matchAll(/^([A-Z0-9_]+)=/gm)].map(([, name = '']) => name);
const valuesIn = (text: string): Record<string, string> =>
  Object.fromEntries([...text.matchAll(/^([A-Z0-9_]+)=(.*)$/gm)].map(([, name, value]) => [name, value]));

const init = (args: string[], input = '', env: Record<string, string> = {}): Promise<Ended> =>
  runCommand(['init', ...args], { env, input });

/** Real: the command as built. */
describe('relay init', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'relay-init-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('writes what the services take, after three questions, for its owner alone', async () => {
    const file = join(folder, 'asked.env');
    const { code, screen } = await init(
      ['--file', file],
      'https://relay.example.com/\nlocal.1234\nsecret.of.app\n',
    );
    expect([code, screen]).toEqual([0, expect.stringContaining(`${file} is written, with your keys`)]);
    const text = readFileSync(file, 'utf8');
    const values = valuesIn(text);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(namesIn(text)).toEqual(namesIn(example));
    expect(values).toMatchObject({
      PUBLIC_URL: 'https://relay.example.com',
      B24_CLIENT_ID: 'local.1234',
      B24_CLIENT_SECRET: 'secret.of.app',
    });
    const {
      POSTGRES_PASSWORD: one = '',
      POSTGRES_SERVICE_PASSWORD: two = '',
      RABBITMQ_PASSWORD: three = '',
    } = values;
    for (const password of [one, two, three]) expect(password).toMatch(/^[0-9a-f]{32}$/);
    expect(new Set([one, two, three, values['OPS_TOKEN']]).size).toBe(4);
    const read = readEnvironment(
      ['PUBLIC_URL', 'TOKEN_KEYS', 'OPS_TOKEN', 'B24_CLIENT_ID', 'B24_CLIENT_SECRET', 'PORT'],
      values,
    );
    expect(read.TOKEN_KEYS).toMatchObject([{ id: 'k1' }]);
    for (const secret of [one, values['OPS_TOKEN'] ?? 'none', 'secret.of.app'])
      expect(screen).not.toContain(secret);
  });

  it('works by options alone, with other keys each time', async () => {
    const args = ['--url', 'https://relay.example.com', '--print'];
    const [first, second] = [await init(args), await init(args)];
    expect([first.code, second.code]).toEqual([0, 0]);
    expect(valuesIn(first.screen)).toMatchObject({
      PUBLIC_URL: 'https://relay.example.com',
      B24_CLIENT_ID: '',
    });
    expect(valuesIn(first.screen)['TOKEN_KEYS']).not.toBe(valuesIn(second.screen)['TOKEN_KEYS']);
    const withKeys = await init([...args, '--client-id', 'local.1'], '', {
      B24_CLIENT_SECRET: 'from.variable',
    });
    expect(valuesIn(withKeys.screen)).toMatchObject({
      B24_CLIENT_ID: 'local.1',
      B24_CLIENT_SECRET: 'from.variable',
    });
  });

  it('overwrites nothing', async () => {
    const file = join(folder, 'mine.env');
    writeFileSync(file, 'MINE=1\n');
    const { code, screen } = await init(['--file', file, '--url', 'https://relay.example.com']);
    expect([code, screen]).toEqual([
      1,
      `relay: ${file} exists, and is not overwritten: move it away first.\n`,
    ]);
    expect(readFileSync(file, 'utf8')).toBe('MINE=1\n');
  });

  it.each([
    ['', 'must be https'],
    ['http://relay.example.com\n', 'must be https'],
    ['https://localhost\n', 'must be https'],
    ['https://relay.example.com/b24\n', 'must be https'],
    ['https://relay.example.com\nlocal.1\n', 'B24_CLIENT_SECRET is not set'],
    ['https://relay.example.com\nlocal 1$(id)\nx\n', 'B24_CLIENT_ID has letters'],
  ])('rejects %j', async (input, words) => {
    const file = join(folder, 'rejected.env');
    const { code, screen } = await init(['--file', file], input);
    expect([code, screen]).toEqual([2, expect.stringContaining(words)]);
    expect(() => statSync(file)).toThrow('ENOENT');
  });
});
