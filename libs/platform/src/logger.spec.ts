import { describe, expect, it } from '@jest/globals';
import { createLogger } from './logger.js';

describe('the log', () => {
  it('shows what every error has, and its cause', () => {
    const cause = Object.assign(new Error('connection refused'), { code: 'ECONNREFUSED' });
    expect(JSON.parse(logged({ err: new Error('outer', { cause }) }))).toMatchObject({
      err: {
        type: 'Error',
        message: 'outer',
        cause: { message: 'connection refused', code: 'ECONNREFUSED' },
      },
    });
  });

  it('leaves out what drivers hang on their errors', () => {
    const err = Object.assign(new Error('failed'), {
      parameters: ['sealed-token'],
      detail: 'Failing row contains (personal-data)',
      input: 'amqp://relay:password@host',
    });
    expect(logged({ err })).not.toMatch(/sealed-token|personal-data|password/);
  });

  it('does not write a field that is named like a secret', () => {
    expect(
      logged({ accessToken: 'one', portal: { refresh_token: 'two', auth: { x: 'three' } } }),
    ).not.toMatch(/one|two|three/);
  });
});

function logged(fields: object): string {
  const lines: string[] = [];
  createLogger('spec', 'debug', { write: (line) => void lines.push(line) }).info(fields, 'message');
  return lines.join('');
}
