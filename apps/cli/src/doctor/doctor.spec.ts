import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runDoctor } from './doctor.js';

describe('relay doctor beside a damaged DATA_DIR', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'relay-doctor-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it.each([
    ['environment.json', 'of half a file', (path: string) => writeFileSync(path, '{"DATABASE_URL": "s3cret')],
    ['environment.json', 'of another form', (path: string) => writeFileSync(path, '["s3cret"]')],
    ['environment.json', 'that cannot be read', (path: string) => mkdirSync(path)],
    ['secrets.env', 'that cannot be read', (path: string) => mkdirSync(path)],
  ])('names %s %s, and checks the rest', async (file, _, damage) => {
    damage(join(folder, file));
    const nowhere = 'http://127.0.0.1:1';
    const env = {
      DATA_DIR: folder,
      PUBLIC_URL: nowhere,
      B24_OAUTH_URL: nowhere,
      B24_ALLOW_HOSTS: '127.0.0.1',
    };
    const { text, value, exitCode } = await runDoctor(env);
    expect(text).toMatch(new RegExp(`^✘ data directory: .*${file.replace('.', '\\.')}`, 'm'));
    expect(text).toContain('OAuth server:');
    expect(exitCode).toBe(1);
    expect(JSON.stringify(value)).not.toContain('s3cret');
  });
});
