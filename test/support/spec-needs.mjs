/** What a spec needs outside of Node, told from its text and that of the test helpers which it imports: nothing is run. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '../..');

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

const BROKER = new Set(['amqplib', 'test/support/broker.ts', 'test/support/vhosts.mjs']);

/** PostgreSQL, RabbitMQ, or a process of ours. @param {string} spec below the root @returns {boolean} */
export function needsSystem(spec) {
  return sourcesOf(spec).some(({ imports }) => imports.some((target) => SYSTEM.has(target)));
}

/**
 * RabbitMQ. A spec with the kit for consumers needs it for that bus alone.
 * @param {string} spec below the root
 * @param {string | undefined} bus `RELAY_TEST_BUS`
 * @returns {boolean}
 */
export function needsBroker(spec, bus) {
  return sourcesOf(spec).some(
    ({ text, imports }) =>
      imports.some((target) => BROKER.has(target) || (target === '@relay/testing' && bus === 'rabbitmq')) ||
      /'rabbitmq'/.test(text),
  );
}

/**
 * The spec, and the test helpers that it imports, themselves or by others.
 * @typedef {{ text: string, imports: string[] }} Source `imports`: paths below the root with `/`, or names of modules
 * @param {string} file below the root @param {Map<string, Source>} found @returns {Source[]}
 */
function sourcesOf(file, found = new Map()) {
  if (found.has(file)) return [];
  const text = readFileSync(join(root, file), 'utf8');
  // Types alone are gone when it runs.
  const statements =
    /^(?:import|export) (?!type\b)[^;]*?from '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm;
  const imports = [...text.matchAll(statements)].map(([, named, bare, dynamic]) =>
    resolve(file, named ?? bare ?? dynamic ?? ''),
  );
  found.set(file, { text, imports });
  for (const target of imports) if (isTestHelper(target)) sourcesOf(target, found);
  return [...found.values()];
}

/** What a source file imports does not matter: it reaches a server only when a spec tells it where. @param {string} path */
function isTestHelper(path) {
  return /^test\/|^(apps|examples|libs)\/[^/]+\/test\//.test(path) && existsSync(join(root, path));
}

/** @param {string} file @param {string} target @returns {string} */
function resolve(file, target) {
  if (!target.startsWith('.')) return target;
  const path = join(dirname(file), target).replaceAll('\\', '/');
  return existsSync(join(root, path)) ? path : path.replace(/\.js$/, '.ts');
}
