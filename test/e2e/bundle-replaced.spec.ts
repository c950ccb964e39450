import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SCRIPT = 'scripts/bundle-dependencies.mjs';
const CACHE = 'node_modules/.cache/bundled-dependencies';
const FILES = 500;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'relay-bundle-'));
  cpSync(join(import.meta.dirname, '../..', SCRIPT), join(folder, SCRIPT));
  write('package-lock.json', '{}');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(path: string, text: string): void {
  mkdirSync(join(folder, path, '..'), { recursive: true });
  writeFileSync(join(folder, path), text);
}

/** A bundle of what is installed, made before. */
function installed(version: string): void {
  write('node_modules/.package-lock.json', version);
  const inputs = ['package-lock.json', 'node_modules/.package-lock.json', SCRIPT];
  const key = createHash('sha256');
  for (const path of inputs) key.update(readFileSync(join(folder, path), 'utf8'));
  for (let file = 1; file < FILES; file++) write(`${CACHE}/${file}.js`, version);
  write(`${CACHE}/.bundle`, key.digest('hex'));
}

const bundle = () =>
  run(process.execPath, ['-e', `import('./${SCRIPT}').then((made) => made.bundleDependencies())`], {
    cwd: folder,
  });

it('builds at the same moment leave the whole bundle, and nothing else', async () => {
  installed('1');
  await Promise.all([bundle(), bundle(), bundle(), bundle()]);
  expect(readdirSync(join(folder, 'dist'))).toEqual(['node_modules']);
  expect(readdirSync(join(folder, 'dist/node_modules'))).toHaveLength(FILES);
});

it('a build that ends while it copies leaves no part of the bundle that counts as whole', async () => {
  installed('1');
  // Cannot be copied.
  execFileSync('mkfifo', [join(folder, CACHE, 'pipe')]);
  await expect(bundle()).rejects.toThrow('pipe');
  expect(existsSync(join(folder, 'dist/node_modules'))).toBe(false);
});

it('another version that is installed is bundled, also where package-lock.json stays as it was', async () => {
  installed('1');
  await bundle();
  installed('2');
  await bundle();
  expect(readFileSync(join(folder, 'dist/node_modules/1.js'), 'utf8')).toBe('2');
});
