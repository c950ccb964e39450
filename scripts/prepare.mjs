/**
 * Before `npm start`: installs and builds what is missing or older than its sources, and says so. In plain Node, for on a
 * fresh clone there is nothing else. With --check it does nothing; exit code 1: something is to be done.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** Pages for browsers, built by Vite. */
const CONSOLE = 'apps/console/';
/** Compiled by Jest for specs, and in no build. */
const KIT = 'libs/testing/';

/** What a change of builds all again. */
const SETTINGS = ['package-lock.json', 'nest-cli.json', 'tsconfig.json', 'tsconfig.build.json', '.swcrc'];
/** Of the pages: the versions of Vite and Vue, and the words that they share with the servers. */
const PAGE_SETTINGS = ['package-lock.json', 'libs/admin-contract/src/texts.mjs'];

process.chdir(join(import.meta.dirname ?? '.', '..'));

requireNode(JSON.parse(readFileSync('package.json', 'utf8')).engines.node);
if (process.argv.includes('--check')) process.exit(isInstalled() && isCodeBuilt() && arePagesBuilt() ? 0 : 1);
if (!isInstalled()) step('installing packages', ['ci', '--no-audit', '--no-fund']);
if (!arePagesBuilt()) step('building', ['run', '--silent', 'build']);
else if (!isCodeBuilt()) step('building', ['run', '--silent', 'build', 'without-pages']);

/** @param {string} range such as `>=20.19` */
function requireNode(range) {
  const [major = 0, minor = 0] = range.replace('>=', '').split('.').map(Number);
  const [ownMajor = 0, ownMinor = 0] = process.versions.node.split('.').map(Number);
  if (ownMajor > major || (ownMajor === major && ownMinor >= minor)) return;
  fail(
    `Node ${process.versions.node} is too old: install ${major}.${minor} or newer from https://nodejs.org`,
  );
}

/** npm writes down what it has installed when it is done; what is optional may be for another platform. */
function isInstalled() {
  const installed = 'node_modules/.package-lock.json';
  if (!existsSync(installed)) return false;
  const there = JSON.parse(readFileSync(installed, 'utf8')).packages;
  const wanted = Object.entries(JSON.parse(readFileSync('package-lock.json', 'utf8')).packages);
  return wanted.every(
    ([path, { version, optional }]) =>
      path === '' || (there[path]?.version ?? (optional && version)) === version,
  );
}

/** Whatever is built is newer than all that it was built from, nothing is missing, and nothing is built whose source is gone. */
function isCodeBuilt() {
  const there = ['dist/apps', 'dist/libs'].flatMap((folder) => filesIn(folder));
  const code = there.filter((path) => path.endsWith('.js') && !path.startsWith(`dist/${CONSOLE}`));
  // An app's consumer would run, and a migration.
  if (!code.every((path) => existsSync(path.replace(/^dist\/(.+)\.js$/, '$1.ts')))) return false;
  const newestSetting = changedLast(SETTINGS);
  const sources = ['apps', 'libs']
    .flatMap((folder) => filesIn(folder))
    .filter((path) => /^\w+\/[^/]+\/src\//.test(path) && !/\.(spec|cases|d)\.ts$/.test(path));
  return sources
    .filter((path) => !path.startsWith(CONSOLE) && !path.startsWith(KIT))
    .every((path) => {
      const built = join('dist', path.replace(/\.ts$/, '.js'));
      // What is no code may be a page's file, which is copied, or a sample for tests, which is not.
      if (!existsSync(built)) return !path.endsWith('.ts');
      return statSync(path).isDirectory() || changedAt(built) >= Math.max(changedAt(path), newestSetting);
    });
}

/** The same of the pages. */
function arePagesBuilt() {
  const parts = filesIn(CONSOLE).filter((path) => !path.endsWith('.spec.ts'));
  const newestPart = changedLast([...PAGE_SETTINGS, ...parts]);
  // What is built of it has other names.
  const pages = parts.filter((path) => path.endsWith('/index.html'));
  const builtPages = pages.map((path) => path.replace(`${CONSOLE}src/`, `dist/${CONSOLE}`));
  return builtPages.every((path) => existsSync(path) && changedAt(path) >= newestPart);
}

/** @param {string} folder @returns {string[]} paths with `/` */
function filesIn(folder) {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names.map((name) => join(folder, name).replaceAll('\\', '/'));
}

/** @param {string[]} paths @returns {number} of those that are there */
function changedLast(paths) {
  return Math.max(...paths.filter((path) => existsSync(path)).map(changedAt));
}

/** @param {string} path */
function changedAt(path) {
  return statSync(path).mtimeMs;
}

/** @param {string} what @param {string[]} args of npm */
function step(what, args) {
  for (const folder of ['.', 'node_modules', 'dist'].filter((path) => existsSync(path)))
    requireWritable(folder);
  console.log(`b24-relay: ${what} …`);
  const { status, signal, stdout, stderr } = spawnSync('npm', args, {
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  if (status === 0) return;
  if (signal) process.exit(1);
  console.error(`${stdout}${stderr}`);
  fail(`${what} failed: \`npm ${args.join(' ')}\` says why, above`);
}

/** @param {string} folder */
function requireWritable(folder) {
  try {
    accessSync(folder, constants.W_OK);
  } catch {
    fail(`this user may not write in ${resolve(folder)}: clone the repository into a folder of your own`);
  }
}

/** @param {string} message @returns {never} */
function fail(message) {
  console.error(`b24-relay: ${message}`);
  process.exit(1);
}
