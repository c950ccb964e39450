import { availableParallelism } from 'node:os';
import { keepTemporaryFilesInMemory } from './test/support/temporary-files.mjs';

keepTemporaryFilesInMemory();
// What the worker processes of this run share carries it (test/support/test-run.mjs).
process.env['RELAY_TEST_RUN'] ??= String(process.pid);

/** Jest in ESM: run by `npm test` (scripts/test.mjs) or `npm run jest -- <path>`. */
export default {
  // Most of a test's time is waiting for real servers and processes: two cores have room for four.
  maxWorkers: Math.max(4, availableParallelism()),
  // Node frees no module of a spec file that has ended: beyond this, each garbage collection costs tenths of a second.
  workerIdleMemoryLimit: '700MB',
  testSequencer: '<rootDir>/test/support/slowest-first.mjs',
  // Not among the temporary files: it outlives a run.
  cacheDirectory: '<rootDir>/node_modules/.cache/jest',
  runtime: '<rootDir>/test/runner/runtime.mjs',
  testEnvironment: '<rootDir>/test/runner/environment.mjs',
  injectGlobals: false,
  // Longer than `eventually` waits, so that a failure shows its last error; many times what any test takes alone.
  testTimeout: 60_000,
  roots: ['<rootDir>/apps', '<rootDir>/bench', '<rootDir>/examples', '<rootDir>/libs', '<rootDir>/test'],
  testRegex: '\\.spec\\.ts$',
  moduleFileExtensions: ['ts', 'js', 'json'],
  // The hooks of the runtime compile TypeScript.
  transform: {},
  globalTeardown: '<rootDir>/test/support/global-teardown.mjs',
};
