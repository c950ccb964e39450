import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';

const root = join(import.meta.dirname, '../..');

/** Runs in a process of its own under `runMain`, after its start. */
async function ending(code: string): Promise<{ code: number; said: string }> {
  const program = `
    import { runMain } from './dist/libs/platform/src/lifecycle/run-main.js';
    const failure = Object.assign(
      new Error('lost', { cause: new Error('connect amqp://relay:s3cr3t@broker:5672') }),
      { parameters: ['s3cr3t'] },
    );
    await runMain('spec', async () => { setTimeout(() => { ${code} }); });
  `;
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: root,
  });
  return run.then(
    ({ stdout, stderr }) => ({ code: 0, said: stdout + stderr }),
    ({ code: exitCode, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
      code: exitCode,
      said: stdout + stderr,
    }),
  );
}

/** Real: processes, from the built libs. */
describe('a process that nobody catches in its fall', () => {
  it.each([
    ['an exception', 'throw failure;'],
    ['a rejection', 'void Promise.reject(failure);'],
    ["an 'error' event", "new (await import('node:events')).EventEmitter().emit('error', failure);"],
  ])('ends with 1, and says why without secrets: %s', async (_what, thrown) => {
    const { code, said } = await ending(
      thrown.includes('await') ? `void (async () => { ${thrown} })();` : thrown,
    );
    expect(code).toBe(1);
    expect(said).toMatch(
      /^spec: Error: lost\n[^]*caused by: Error: connect amqp:\/\/\[redacted\]@broker:5672/,
    );
    expect(said).not.toContain('s3cr3t');
  });
});
