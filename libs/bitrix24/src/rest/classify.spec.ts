import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import {
  CLASS_OF_CODE,
  CLASS_OF_OAUTH_CODE,
  classify,
  classifyOAuth,
  type ErrorContext,
  recoveryFor,
} from './classify.js';
import { readCode } from './errors.js';

const readme = await readFile(join(import.meta.dirname, '../../README.md'), 'utf8');

/** The rows of the README's table under this heading, without the header, with unquoted cells. */
function tableUnder(heading: string): string[][] {
  const [, section = ''] = readme.split(`\n### ${heading}\n`);
  const [text = ''] = section.split(/\n##+ /, 1);
  const lines = text.split('\n').filter((line) => line.startsWith('|'));
  return lines.slice(2).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.replaceAll('`', '').trim()),
  );
}

/** Statuses observed with errors, and undefined: the command of a batch has no status. */
const SEEN = [undefined, 200, 400, 401, 402, 403, 404, 405, 429, 500, 503];
const FAULTS = ['too-long', 'too-deep', 'no-room'] as const;
const METHODS = ['crm.item.get', 'batch'];

function statusesOf(cell: string): (number | undefined)[] {
  if (cell === 'any') return SEEN;
  return cell.split(', ').map((status) => (status === 'none' ? undefined : Number(status)));
}

/** The errors that a row describes. */
function casesOf([code = '', status = '', asked = '']: string[]): [code: string, context: ErrorContext][] {
  const [name = '', detail] = code.split(' ');
  const names = name === 'other' ? ['SOMETHING_NEW', 'UNNAMED_ERROR', '200040300010'] : [name];
  const methods = asked === 'any' ? METHODS : [asked];
  return names.flatMap((sent) =>
    statusesOf(status).flatMap((httpStatus) =>
      methods.map((method): [string, ErrorContext] => {
        if (sent === 'BAD_ANSWER') {
          return [sent, { httpStatus, method, detail: FAULTS.find((fault) => fault === detail) ?? 'html' }];
        }
        if (detail === 'command') return [sent, { httpStatus, method, delivered: 'yes' }];
        if (detail === 'undelivered') return [sent, { httpStatus, method, delivered: 'no' }];
        return [sent, { httpStatus, method, delivered: 'unknown' }];
      }),
    ),
  );
}

const REST = tableUnder('Errors of a portal');
const OAUTH = tableUnder('Errors of the OAuth server');

describe('the table of a portal’s errors', () => {
  it.each(REST.map((row) => [row.slice(0, 3).join(' '), row] as const))('%s', (_, row) => {
    const [, , , errorClass = '', recovery = ''] = row;
    for (const [code, context] of casesOf(row)) {
      for (const spelled of [code, code.toLowerCase()]) {
        expect([code, context, classify(spelled, context)]).toEqual([code, context, errorClass]);
      }
      expect(recoveryFor(classify(code, context))).toBe(recovery);
    }
  });

  it('contains every known code', () => {
    const written = REST.filter(([, status, asked]) => status === 'any' && asked === 'any').map(
      ([code = '']) => code.toUpperCase(),
    );
    expect(new Set(written)).toEqual(new Set(CLASS_OF_CODE.keys()));
  });
});

describe('the table of the OAuth server’s errors', () => {
  it.each(OAUTH.map((row) => [row[0] ?? '', row] as const))('%s', (_, row) => {
    const [code = '', errorClass, recovery] = row;
    const sent = code === 'other' ? 'something_new' : code;
    const rejected = classifyOAuth(sent.toUpperCase());
    expect([rejected.errorClass, recoveryFor(rejected.errorClass)]).toEqual([errorClass, recovery]);
  });

  it('contains every known code', () => {
    const codes = OAUTH.map(([code]) => code).filter((code) => code !== 'other');
    expect(new Set(codes)).toEqual(new Set(CLASS_OF_OAUTH_CODE.keys()));
  });
});

describe('a code that a portal sent', () => {
  it('is shown in upper case', () => {
    expect(readCode('expired_token', [])).toBe('EXPIRED_TOKEN');
    expect(readCode('200040300010', [])).toBe('200040300010');
  });

  it('is not shown if it looks like a token', () => {
    for (const sent of ['k4e1xw9kzsebuq1i', 'BAD_5d2a1b3c4e5f60718293', 'eyJhbGciOiJIUzI1NiJ9.e30.x']) {
      expect(readCode(sent, [])).toBe('UNNAMED_ERROR');
    }
  });

  it('is not shown if it is not a code, or contains a secret', () => {
    for (const sent of ['', ' ', 'Access denied!', '<html>', 'x'.repeat(81), 'BAD_S3CRET']) {
      expect(readCode(sent, ['s3cret'])).toBe('UNNAMED_ERROR');
    }
  });
});
