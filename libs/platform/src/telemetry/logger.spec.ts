import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Logger } from 'pino';
import { writings, type Writing } from '../../test/secret-writings.js';
import { createLogger, NestLogger } from './logger.js';

/** Fields that must stay readable beside a secret. */
const kept = {
  memberId: 'd897063e1ce7c5eb9f04b9751eef5915',
  domain: 'demo.bitrix24.com',
  code: 'QUERY_LIMIT_EXCEEDED',
  operating: 0.32,
};

/** The ways a value can get into a line. */
const ways: Record<string, (log: Logger, what: unknown) => void> = {
  message: (log, what) => log.info(kept, written(what)),
  'interpolated message': (log, what) => log.info(kept, 'got %s', written(what)),
  field: (log, what) => log.info({ ...kept, what }, 'message'),
  'deep field': (log, what) => log.info({ ...kept, a: [{ b: { what } }] }, 'message'),
  Map: (log, what) => log.info({ ...kept, map: new Map([['what', what]]) }, 'message'),
  'message of an error': (log, what) => log.warn({ ...kept, err: new Error(written(what)) }, 'message'),
  'field of an error': (log, what) =>
    log.warn({ ...kept, err: Object.assign(new Error('no'), { what }) }, 'message'),
  'cause of an error': (log, what) =>
    log.warn({ ...kept, err: new Error('outer', { cause: new Error(written(what)) }) }, 'message'),
  'part of an AggregateError': (log, what) =>
    log.warn({ ...kept, failure: new AggregateError([new Error(written(what)), what]) }, 'message'),
  'error that is a text': (log, what) => log.warn({ ...kept, err: what }, 'message'),
  "child's binding": (log, what) => log.child({ what }).error(kept, 'message'),
  'what Nest says': (log, what) => new NestLogger(log.child(kept)).error(what, 'stack', 'context'),
  'what Nest throws': (log, what) => new NestLogger(log.child(kept)).error(new Error(written(what)), what),
};

describe('the log', () => {
  it('shows the common fields of an error, and its cause', () => {
    const cause = Object.assign(new Error('connection refused'), { code: 'ECONNREFUSED' });
    expect(
      JSON.parse(logged((log) => log.info({ err: new Error('outer', { cause }) }, 'message'))),
    ).toMatchObject({
      err: {
        type: 'Error',
        message: 'outer',
        cause: { message: 'connection refused', code: 'ECONNREFUSED' },
      },
    });
  });

  it('escapes control characters of foreign texts', () => {
    const domain = 'acme\u001b[2J\u009b31m\u202e\u2028\ud800.example\n';
    const line = logged((log) => log.info({ domain }, `from ${domain}`));
    expect(line.slice(0, -1)).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
    expect(JSON.parse(line)).toMatchObject({ domain, msg: `from ${domain}` });
  });

  it('omits the fields that drivers add to errors', () => {
    const err = Object.assign(new Error('failed'), {
      parameters: ['sealed-token'],
      detail: 'Failing row contains (personal-data)',
      input: 'amqp://relay:password@host',
    });
    for (const fields of [{ err }, { failure: { err } }]) {
      expect(logged((log) => log.info(fields, 'message'))).not.toMatch(/sealed-token|personal-data|password/);
    }
  });

  it('redacts a field that is named like a secret', () => {
    const fields = { accessToken: 'one', portal: { refresh_token: 'two', auth: { x: 'three' } } };
    expect(logged((log) => log.info(fields, 'message'))).not.toMatch(/one|two|three/);
  });

  it('writes a line without secrets unchanged', () => {
    const fields = {
      ...kept,
      list: [1, 'two', null],
      nested: { at: '10:30', of: { ten: 10 } },
      none: undefined,
    };
    expect(JSON.parse(logged((log) => log.info(fields, 'portal installed')))).toEqual({
      level: 'info',
      time: expect.any(String),
      app: 'spec',
      ...kept,
      list: [1, 'two', null],
      nested: { at: '10:30', of: { ten: 10 } },
      msg: 'portal installed',
    });
  });

  it('does not warn of what Nest takes for one app where several share a process', () => {
    expect(warned('DataSourceNameRegistry')).toContain('"level":"debug"');
    expect(warned('RouterExplorer')).toContain('"level":"warn"');
  });

  for (const [way, log] of Object.entries(ways)) {
    it(`holds no secret, however it is written, and everything else: ${way}`, () => {
      fc.assert(
        fc.property(writings, ({ what, spellings }: Writing) => {
          const line = logged((logger) => log(logger, what));
          expect(line).toMatch(/^\{.*\}\n$/);
          expect(JSON.parse(line)).toMatchObject({ app: 'spec', ...kept });
          for (const spelling of spellings) expect(line).not.toContain(spelling);
        }),
        { numRuns: 200 },
      );
    });
  }
});

function warned(context: string): string {
  return logged((log) => new NestLogger(log).warn('a warning', context));
}

/** The value as part of a text. */
function written(what: unknown): string {
  return typeof what === 'string' ? what : inspect(what);
}

function logged(write: (log: Logger) => void): string {
  const lines: string[] = [];
  write(createLogger('spec', 'debug', { write: (line) => void lines.push(line) }));
  return lines.join('');
}
