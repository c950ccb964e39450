import { describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  describeFailures,
  exitCodeOf,
  MAX_REPEATED,
  readReport,
  toRepeat,
  withRepeated,
} from './outcome.mjs';

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
const failed = (...testResults: ReturnType<typeof suite>[]) => ({ code: 1, report: report(...testResults) });
const good = suite('libs/good.spec.ts', [test('goes')]);
const late = suite('test/e2e/late.spec.ts', [
  test('comes in time', '\u001B[31mError: not yet\u001B[39m\n\nReceived: 0\n    at eventually (a.ts:1)'),
  test('comes'),
]);

describe('the outcome of a run of all tests', () => {
  it('names what is to run once more, alone', () => {
    expect(toRepeat(failed(good, late), ROOT)).toEqual(['test/e2e/late.spec.ts']);
    expect(toRepeat(failed(good), ROOT)).toEqual([]);
  });

  it('repeats nothing where that cannot help, or hides something', () => {
    expect(toRepeat(failed(late), ROOT)).toEqual([]);
    const chaos = suite('test/e2e/chaos.spec.ts', [test('loses nothing', 'LOST 1')]);
    expect(toRepeat(failed(good, late, chaos), ROOT)).toEqual([]);
    const many = Array.from({ length: MAX_REPEATED + 1 }, (_, index) =>
      suite(`${index}.spec.ts`, [test('x', 'y')]),
    );
    expect(toRepeat(failed(good, ...many), ROOT)).toEqual([]);
  });

  it.each([
    ['was ended, as one is that does not end by itself', null],
    ['was interrupted', 130],
    ['has another complaint', 0],
  ])('repeats nothing where Jest %s: the rest of the run is not known', (_, code) => {
    expect(toRepeat({ code, report: report(good, late) }, ROOT)).toEqual([]);
  });

  it('is good only by a whole report in which nothing failed', () => {
    const folder = mkdtempSync(join(tmpdir(), 'relay-outcome-'));
    const path = join(folder, 'report.json');
    const left = (text: string) => {
      writeFileSync(path, text);
      return readReport(path);
    };
    const whole = JSON.stringify(report(good));
    try {
      expect(exitCodeOf({ code: 0, report: readReport(path) })).toBe(1);
      expect(exitCodeOf({ code: 0, report: left(whole) })).toBe(0);
      expect(exitCodeOf({ code: 0, report: left(whole.slice(0, -9)) })).toBe(1);
      expect(exitCodeOf({ code: null, report: left(whole) })).toBe(1);
      expect(exitCodeOf({ code: 7, report: left(whole) })).toBe(7);
      expect(exitCodeOf({ code: 0, report: report(good, late) })).toBe(1);
    } finally {
      rmSync(folder, { recursive: true });
    }
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
