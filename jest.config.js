import { availableParallelism } from 'node:os';
import { keepTemporaryFilesInMemory } from './test/support/temporary-files.mjs';

keepTemporaryFilesInMemory();
// What the worker processes of this run share carries it (test/support/test-run.mjs).
process.env['RELAY_TEST_RUN'] ??= String(process.pid);

/** Jest in ESM: run by `npm test` (scripts/test.mjs) or `npm run jest -- <path>`. */
export default {
  // Most of a test's time is waiting for real servers and processes: two cores have room for four.
  maxWorkers: Math.max(4, availableParallelism()),
  testSequencer: '<rootDir>/test/support/slowest-first.mjs',
  // Not among the temporary files: it outlives a run.
  cacheDirectory: '<rootDir>/node_modules/.cache/jest',
  testEnvironment: 'node',
  // Longer than `eventually` waits, so that a failure shows its last error; many times what any test takes alone.
  testTimeout: 60_000,
  roots: ['<rootDir>/apps', '<rootDir>/bench', '<rootDir>/libs', '<rootDir>/test'],
  testRegex: '\\.spec\\.ts$',
  moduleFileExtensions: ['ts', 'js', 'json'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '^.+\\.ts$': ['@swc/jest'] },
  moduleNameMapper: {
    '^@relay/([^/]+)$': '<rootDir>/libs/$1/src/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  setupFiles: ['reflect-metadata'],
  globalTeardown: '<rootDir>/test/support/global-teardown.mjs',
};
