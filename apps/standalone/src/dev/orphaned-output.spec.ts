import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { removeOrphanedOutput } from './orphaned-output.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'relay-output-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(...files: string[]): void {
  for (const file of files) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), '');
  }
}

it('removes what is built of sources that are gone, and nothing else', () => {
  write('apps/greeter/src/main.ts', 'apps/greeter/src/migrations/2-new.ts', 'libs/bus/src/index.ts');
  const built = 'dist/apps/greeter/src';
  write(`${built}/main.js`, `${built}/main.js.map`, `${built}/page.html`, `${built}/migrations/2-new.js`);
  write(`${built}/migrations/1-old.js`, `${built}/migrations/1-old.js.map`);
  write('dist/libs/bus/src/index.js', 'dist/libs/bus/src/gone.js', 'dist/apps/other/src/gone.js');
  removeOrphanedOutput(root, 'greeter');
  expect(readdirSync(join(root, built)).toSorted()).toEqual([
    'main.js',
    'main.js.map',
    'migrations',
    'page.html',
  ]);
  expect(readdirSync(join(root, built, 'migrations'))).toEqual(['2-new.js']);
  expect(existsSync(join(root, 'dist/libs/bus/src/gone.js'))).toBe(true);
  removeOrphanedOutput(root, 'bus');
  expect(readdirSync(join(root, 'dist/libs/bus/src'))).toEqual(['index.js']);
  expect(existsSync(join(root, 'dist/apps/other/src/gone.js'))).toBe(true);
});

it('bears that nothing is built', () => {
  expect(() => removeOrphanedOutput(root, 'greeter')).not.toThrow();
});
