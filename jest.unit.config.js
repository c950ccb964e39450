/**
 * `npm run test:unit`: the specs that need no PostgreSQL, no RabbitMQ and no process of ours. Those are the specs which,
 * with the test helpers they import, import nothing that reaches one (`SYSTEM`).
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import base from './jest.config.js';

const root = import.meta.dirname;

const SYSTEM = new Set([
  'node:child_process',
  'pg',
  'amqplib',
  'test/support/database.ts',
  'test/support/broker.ts',
  'test/support/private-postgres.mjs',
  // Its consumers have a database.
  '@relay/testing',
]);

const { testRegex: _, globalTeardown: _shared, ...rest } = base;
export default {
  ...rest,
  testMatch: ['apps', 'bench', 'examples', 'libs', 'test']
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(
        (name) => `${folder}/${name.replaceAll('\\', '/')}`,
      ),
    )
    .filter((path) => path.endsWith('.spec.ts') && !reachesSystem(path))
    .map((path) => `<rootDir>/${path}`),
};

/** @param {string} file below the root @param {Set<string>} seen @returns {boolean} */
function reachesSystem(file, seen = new Set()) {
  if (seen.has(file)) return false;
  seen.add(file);
  const text = readFileSync(join(root, file), 'utf8');
  // Types alone are gone when it runs.
  const imports =
    /^(?:import|export) (?!type\b)[^;]*?from '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm;
  return [...text.matchAll(imports)]
    .map(([, named, bare, dynamic]) => resolve(file, named ?? bare ?? dynamic ?? ''))
    .some((target) => SYSTEM.has(target) || (isTestHelper(target) && reachesSystem(target, seen)));
}

/** What a source file imports does not matter: it reaches a server only when a spec tells it where. @param {string} path */
function isTestHelper(path) {
  return /^test\/|^(apps|examples|libs)\/[^/]+\/test\//.test(path) && existsSync(join(root, path));
}

/** @param {string} file @param {string} target @returns {string} a path below the root with `/`, or a module's name */
function resolve(file, target) {
  if (!target.startsWith('.')) return target;
  const path = join(dirname(file), target).replaceAll('\\', '/');
  return existsSync(join(root, path)) ? path : path.replace(/\.js$/, '.ts');
}
