import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';

const root = join(import.meta.dirname, '../..');

/** Of Jest's own. */
const report = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      message: z.string(),
      assertionResults: z.array(z.object({ title: z.string(), status: z.string() })),
    }),
  ),
});

/** Real: Jest, in a process of its own. */
describe('Jest with the runtime of this folder', () => {
  let folder: string;
  beforeEach(() => {
    // What stands for itself in an address must not mean anything in a path.
    folder = mkdtempSync(join(tmpdir(), 'relay specs #1 100% '));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  /** In one process, in this order. @returns outcomes by test, and of a file without tests its own */
  function run(specs: Record<string, string>): { outcomes: Record<string, string>; messages: string } {
    const config = {
      rootDir: folder,
      cacheDirectory: join(folder, '.cache'),
      runtime: join(root, 'test/runner/runtime.mjs'),
      testEnvironment: join(root, 'test/runner/environment.mjs'),
      injectGlobals: false,
      testRegex: '\\.spec\\.ts$',
      transform: {},
    };
    const output = join(folder, 'report.json');
    const paths = Object.entries(specs).map(([name, text]) => {
      const path = join(folder, `${name}.spec.ts`);
      writeFileSync(path, `import { afterAll, expect, it, jest } from '@jest/globals';\n${text}\n`);
      return path;
    });
    const options = ['--json', `--outputFile=${output}`, '--runInBand', '--forceExit', '--runTestsByPath'];
    const jest = join(root, 'node_modules/jest/bin/jest.js');
    spawnSync(process.execPath, [jest, `--config=${JSON.stringify(config)}`, ...options, ...paths]);
    const { testResults } = report.parse(JSON.parse(readFileSync(output, 'utf8')));
    const outcomes = testResults.flatMap(({ name, status, assertionResults: tests }): [string, string][] => {
      const file = name.slice(folder.length + 1);
      const own: [string, string][] = tests.map((test) => [`${file} ${test.title}`, test.status]);
      return tests.every((test) => test.status !== 'failed') ? [...own, [file, status]] : own;
    });
    return {
      outcomes: Object.fromEntries(outcomes),
      messages: testResults.map(({ message }) => message).join('\n'),
    };
  }

  it('fails what fails, each in its own way', () => {
    const { outcomes, messages } = run({
      tests: `
        jest.setTimeout(200);
        interface Lines { of: 'code that is left out' }
        it('is wrong', () => expect(1).toBe(2));
        it('does not end', () => new Promise(() => undefined));
        it('rejects in silence', async () => {
          void Promise.reject(new Error('in silence'));
          await new Promise((resolve) => setTimeout(resolve, 20));
        });
        it('is right', () => expect(1).toBe(1));
        it.skip('is left out', () => undefined);`,
      after: `afterAll(() => { throw new Error('in a hook'); }); it('is right', () => undefined);`,
      top: `throw new Error('at the top');`,
      syntax: `it('is none', () => { const = 3; });`,
      import: `import { nothing } from '@relay/platform'; it('has it', () => nothing);`,
      later: `setTimeout(() => { throw new Error('later'); }, 20); it('waits', () => new Promise((resolve) => setTimeout(resolve, 100)));`,
    });
    expect(outcomes).toEqual({
      'tests.spec.ts is wrong': 'failed',
      'tests.spec.ts does not end': 'failed',
      'tests.spec.ts rejects in silence': 'failed',
      'tests.spec.ts is right': 'passed',
      'tests.spec.ts is left out': 'pending',
      'after.spec.ts is right': 'passed',
      'after.spec.ts': 'failed',
      'top.spec.ts': 'failed',
      'syntax.spec.ts': 'failed',
      'import.spec.ts': 'failed',
      'later.spec.ts waits': 'passed',
      'later.spec.ts': 'failed',
    });
    // The line of the source, not of what was compiled.
    expect(messages).toMatch(/:5:\d+/);
  });

  it('hands nothing on to the next spec file', () => {
    const { outcomes } = run({
      first: `
        jest.setTimeout(300);
        it('leaves much', () => {
          jest.useFakeTimers();
          jest.spyOn(Math, 'random').mockReturnValue(7);
        });`,
      second: `
        it('finds nothing of it', async () => {
          await new Promise((resolve) => setTimeout(resolve, 500));
          expect(Math.random()).toBeLessThan(1);
        });`,
    });
    expect(outcomes).toMatchObject({
      'first.spec.ts leaves much': 'passed',
      'second.spec.ts finds nothing of it': 'passed',
    });
  });
});
