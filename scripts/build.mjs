/**
 * `npm run build`: dist/ anew, the apps and libs by Nest's CLI and, meanwhile, their dependencies by Rolldown and the
 * pages for browsers by Vite. With `without-pages` those that are built stay.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { bundleDependencies } from './bundle-dependencies.mjs';

process.chdir(join(import.meta.dirname, '..'));
const PAGES = process.argv.includes('without-pages') ? [] : ['operator', 'simulator', 'portal'];
const OLD = PAGES.length > 0 ? ['dist'] : ['dist/libs', ...appsIn('dist/apps')];
for (const path of OLD) rmSync(path, { recursive: true, force: true });

const cli = createRequire(import.meta.url).resolve('@nestjs/cli/bin/nest.js');
const nest = spawn(process.execPath, [cli, 'build', '--all'], { stdio: 'inherit' });
const ended = once(nest, 'exit');
try {
  await bundleDependencies();
  // In one process: loading Vite and its compilers takes longer than a page.
  for (const mode of PAGES) {
    const { build } = await import('vite');
    await build({ configFile: 'apps/console/vite.config.mjs', mode });
  }
} catch (error) {
  nest.kill();
  throw error;
}
const [code] = await ended;
process.exitCode = code ?? 1;

/** @param {string} folder of what is built @returns {string[]} */
function appsIn(folder) {
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names.filter((name) => name !== 'console').map((name) => join(folder, name));
}
