import { describe, expect, it } from '@jest/globals';
import { EnvironmentError } from './environment.js';
import { lastWords } from './last-words.js';
import { StartupError } from './startup-error.js';

describe('the last words of a process', () => {
  it('are one sentence where a person can mend it', () => {
    expect(lastWords(new StartupError('Start it again.'))).toBe('Start it again.');
    expect(lastWords(new EnvironmentError(['PORT must be a number']))).toMatch(/complete:\n {2}PORT must be/);
    const taken = Object.assign(new Error('listen'), { code: 'EADDRINUSE', port: 3000 });
    expect(lastWords(taken)).toContain('Port 3000 is in use');
    expect(lastWords(new AggregateError([taken, new StartupError('Second.')], ''))).toMatch(
      /Port 3000.*; Second\./,
    );
  });

  it('are else the stack, with its causes', () => {
    const cause = new Error('inner', { cause: new StartupError('innermost') });
    const words = lastWords(new TypeError('outer', { cause }));
    expect(words).toMatch(/^TypeError: outer\n +at [^]* caused by: Error: inner\n[^]* caused by: innermost$/);
  });

  it('hold no secret', () => {
    const cause = new Error('connect amqp://relay:s3cr3t@broker:5672');
    const thrown = [
      new Error('refused', { cause }),
      new StartupError('There is no such command: https://demo.bitrix24.com/rest/1/s3cr3t/'),
      new AggregateError([cause], ''),
      { accessToken: 's3cr3t' },
      'auth%5Baccess_token%5D=s3cr3t',
      Object.assign(new Error('failed'), { parameters: ['s3cr3t'] }),
    ];
    for (const error of thrown) expect(lastWords(error)).not.toContain('s3cr3t');
  });

  it('end, whatever was thrown', () => {
    const circle = new Error('circle');
    circle.cause = circle;
    expect(lastWords(circle).split('caused by').length).toBeLessThan(10);
    expect(lastWords(Object.create(null))).toBe('{}');
    expect(lastWords(undefined)).toBe('undefined');
  });
});
