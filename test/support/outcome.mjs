/** What Jest reports (`--json`) of a run of all tests, and what is said of it. */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/**
 * @typedef {{ status: string, fullName: string, failureMessages: string[] }} Assertion
 * @typedef {{ name: string, status: string, message: string, assertionResults: Assertion[] }} Suite
 * @typedef {{ numPassedTests: number, numFailedTests: number, numTotalTests: number, testResults: Suite[] }} Report
 * @typedef {{ code: number | null, report: Report | undefined }} Outcome `code`: null when a signal has ended Jest
 */

/** More that fail are no accident of timing: all but the report would be a waste. */
export const MAX_REPEATED = 6;
/** Whatever fails there once is a finding: it tells lost events from late ones by itself. */
const NEVER_REPEATED = ['test/e2e/chaos.spec.ts'];
const MESSAGE_LENGTH = 400;
/** Jest's, when it has ended by itself and tests have failed. */
const FAILED_TESTS = 1;

/** @param {string} path @returns {Report | undefined} undefined when it is missing, or not whole */
export function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/**
 * The spec files to run once more, alone, since each waits for real servers that others have loaded as well. None when
 * that could not make the run pass, or would hide that Jest was ended or did not end.
 * @param {Outcome} outcome @param {string} root @returns {string[]} paths below `root`
 */
export function toRepeat({ code, report }, root) {
  if (code !== FAILED_TESTS || !report) return [];
  const { testResults } = report;
  const failed = testResults.filter(hasFailed).map(({ name }) => toPath(name, root));
  const isHopeless = failed.length > MAX_REPEATED || failed.some((path) => NEVER_REPEATED.includes(path));
  // One that ran with no other beside it has nothing to blame.
  return isHopeless || failed.length === testResults.length ? [] : failed;
}

/**
 * The report with the files of `repeated` as they were the second time.
 * @param {Report} report @param {Report} repeated @returns {Report}
 */
export function withRepeated(report, repeated) {
  const again = new Map(repeated.testResults.map((suite) => [suite.name, suite]));
  const testResults = report.testResults.map((suite) => again.get(suite.name) ?? suite);
  const statuses = testResults.flatMap((suite) => suite.assertionResults.map(({ status }) => status));
  return {
    testResults,
    numPassedTests: statuses.filter((status) => status === 'passed').length,
    numFailedTests: statuses.filter((status) => status === 'failed').length,
    numTotalTests: statuses.length,
  };
}

/**
 * Jest ends with 0, too, when a spec ends its process: nobody knows then what has run.
 * @param {Outcome} outcome @returns {number}
 */
export function exitCodeOf({ code, report }) {
  if (code !== 0) return code ?? 1;
  return report && !report.testResults.some(hasFailed) ? 0 : 1;
}

/**
 * Each test that failed and what it said first, on few lines: a log of all is long, and often cut in the middle.
 * @param {Report} report @param {string} root @returns {string[]}
 */
export function describeFailures({ testResults }, root) {
  return testResults.filter(hasFailed).flatMap(({ name, message, assertionResults }) => {
    const path = toPath(name, root);
    const failed = assertionResults.filter(({ status }) => status === 'failed');
    if (failed.length === 0) return [`${path}: ${shorten(message)}`];
    return failed.map((test) => `${path} › ${test.fullName}: ${shorten(test.failureMessages[0] ?? '')}`);
  });
}

/** @param {Suite} suite */
function hasFailed({ status }) {
  return status === 'failed';
}

/** @param {string} name @param {string} root */
function toPath(name, root) {
  return relative(root, name).replaceAll('\\', '/');
}

/** Without colours, the stack and the source. @param {string} message */
function shorten(message) {
  const [told = ''] = stripVTControlCharacters(message).split(/\n +at /);
  const line = told.replaceAll(/\s+/g, ' ').trim();
  return line.length > MESSAGE_LENGTH ? `${line.slice(0, MESSAGE_LENGTH)}…` : line;
}
