import { describe, expect, it } from '@jest/globals';
import { describeFailures, MAX_REPEATED, toRepeat, withRepeated } from './outcome.mjs';

const ROOT = '/house';
const test = (fullName: string, message?: string) => ({
  fullName,
  status: message === undefined ? 'passed' : 'failed',
  failureMessages: message === undefined ? [] : [message],
});
const suite = (path: string, tests: ReturnType<typeof test>[], message = '') => ({
  name: `${ROOT}/${path}`,
  status: message || tests.some(({ status }) => status === 'failed') ? 'failed' : 'passed',
  message,
  assertionResults: tests,
});
const report = (...testResults: ReturnType<typeof suite>[]) => {
  const empty = { numPassedTests: 0, numFailedTests: 0, numTotalTests: 0, testResults };
  return withRepeated(empty, { ...empty, testResults: [] });
};
const good = suite('libs/good.spec.ts', [test('goes')]);
const late = suite('test/e2e/late.spec.ts', [
  test('comes in time', '\u001B[31mError: not yet\u001B[39m\n\nReceived: 0\n    at eventually (a.ts:1)'),
  test('comes'),
]);

describe('the outcome of a run of all tests', () => {
  it('names what is to run once more, alone', () => {
    expect(toRepeat(report(good, late), ROOT)).toEqual(['test/e2e/late.spec.ts']);
    expect(toRepeat(report(good), ROOT)).toEqual([]);
  });

  it('repeats nothing where that cannot help, or hides something', () => {
    expect(toRepeat(report(late), ROOT)).toEqual([]);
    const chaos = suite('test/e2e/chaos.spec.ts', [test('loses nothing', 'LOST 1')]);
    expect(toRepeat(report(good, late, chaos), ROOT)).toEqual([]);
    const many = Array.from({ length: MAX_REPEATED + 1 }, (_, index) =>
      suite(`${index}.spec.ts`, [test('x', 'y')]),
    );
    expect(toRepeat(report(good, ...many), ROOT)).toEqual([]);
  });

  it('counts a repeated file as it was the second time', () => {
    const first = report(good, late);
    expect(first).toMatchObject({ numPassedTests: 2, numFailedTests: 1, numTotalTests: 3 });
    const passed = suite('test/e2e/late.spec.ts', [test('comes in time'), test('comes')]);
    expect(withRepeated(first, report(passed))).toMatchObject({ numPassedTests: 3, numFailedTests: 0 });
    expect(withRepeated(first, report(late))).toMatchObject({ numPassedTests: 2, numFailedTests: 1 });
  });

  it('says on a line each what failed, also of a file that could not run', () => {
    const broken = suite('libs/broken.spec.ts', [], 'Cannot find module');
    expect(describeFailures(report(good, late, broken), ROOT)).toEqual([
      'test/e2e/late.spec.ts › comes in time: Error: not yet Received: 0',
      'libs/broken.spec.ts: Cannot find module',
    ]);
    const long = suite('a.spec.ts', [test('b', 'c'.repeat(2_000))]);
    expect(describeFailures(report(long), ROOT)[0]).toHaveLength('a.spec.ts › b: '.length + 401);
  });
});
