import { describe, expect, it } from '@jest/globals';
import { EnvironmentError } from '../environment/environment.js';
import { formatFatalError, StartupError } from './fatal-error.js';

describe('formatFatalError', () => {
  it('is one sentence if a person can fix the cause', () => {
    expect(formatFatalError(new StartupError('Start it again.'))).toBe('Start it again.');
    expect(formatFatalError(new EnvironmentError(['PORT must be a number']))).toMatch(
      /complete:\n {2}PORT must be/,
    );
    const taken = Object.assign(new Error('listen'), { code: 'EADDRINUSE', port: 3000 });
    expect(formatFatalError(taken)).toContain('Port 3000 is in use');
    expect(formatFatalError(new AggregateError([taken, new StartupError('Second.')], ''))).toMatch(
      /Port 3000.*; Second\./,
    );
  });

  it('is the stack with its causes otherwise', () => {
    const cause = new Error('inner', { cause: new StartupError('innermost') });
    const words = formatFatalError(new TypeError('outer', { cause }));
    expect(words).toMatch(/^TypeError: outer\n +at [^]* caused by: Error: inner\n[^]* caused by: innermost$/);
  });

  it('contains no secret', () => {
    const cause = new Error('connect amqp://relay:s3cr3t@broker:5672');
    const thrown = [
      new Error('rejected', { cause }),
      new StartupError('There is no such command: https://demo.bitrix24.com/rest/1/s3cr3t/'),
      new AggregateError([cause], ''),
      { accessToken: 's3cr3t' },
      'auth%5Baccess_token%5D=s3cr3t',
      Object.assign(new Error('failed'), { parameters: ['s3cr3t'] }),
    ];
    for (const error of thrown) expect(formatFatalError(error)).not.toContain('s3cr3t');
  });

  it('terminates for any thrown value', () => {
    const circle = new Error('circle');
    circle.cause = circle;
    expect(formatFatalError(circle).split('caused by').length).toBeLessThan(10);
    expect(formatFatalError(Object.create(null))).toBe('{}');
    expect(formatFatalError(undefined)).toBe('undefined');
  });
});
