/**
 * `npm run test:unit`: the specs that need no PostgreSQL, no RabbitMQ and no process of ours. Those are the specs which,
 * with the test helpers they import, import nothing that reaches one (test/support/spec-needs.mjs).
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import base from './jest.config.js';
import { needsSystem } from './test/support/spec-needs.mjs';

const root = import.meta.dirname;

const { testRegex: _, globalTeardown: _shared, ...rest } = base;
export default {
  ...rest,
  testMatch: ['apps', 'bench', 'examples', 'libs', 'test']
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(
        (name) => `${folder}/${name.replaceAll('\\', '/')}`,
      ),
    )
    .filter((path) => path.endsWith('.spec.ts') && !needsSystem(path))
    .map((path) => `<rootDir>/${path}`),
};
