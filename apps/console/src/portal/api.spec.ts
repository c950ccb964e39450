import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { apiOf, messageKeyOf, PageApiError } from './api.js';

interface Sent {
  method: string | undefined;
  authorization: string | undefined;
  memberId: string | undefined;
}

const rejection = (status: number, error: string) => Response.json({ error }, { status });

describe('the API as the page calls it', () => {
  const sent: Sent[] = [];
  let answers: Response[];
  const frame = {
    credentials: (isRejected = false) =>
      Promise.resolve({ accessToken: isRejected ? 'new' : 'old', memberId: 'm1' }),
  };

  beforeEach(() => {
    sent.length = 0;
    jest.spyOn(globalThis, 'fetch').mockImplementation((_, options) => {
      const headers = new Headers(options?.headers);
      const [authorization, memberId] = ['authorization', 'b24-member-id'].map(
        (name) => headers.get(name) ?? '',
      );
      sent.push({ method: options?.method, authorization, memberId });
      const answer = answers.shift();
      return answer ? Promise.resolve(answer) : Promise.reject(new TypeError('Failed to fetch'));
    });
  });
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('takes a new token once when one is rejected', async () => {
    answers = [rejection(401, 'token-expired'), Response.json({ state: 'installed' })];
    expect(await apiOf(frame).status()).toEqual({ state: 'installed' });
    expect(sent).toEqual([
      { method: 'GET', authorization: 'Bearer old', memberId: 'm1' },
      { method: 'GET', authorization: 'Bearer new', memberId: 'm1' },
    ]);
    answers = [rejection(401, 'not-confirmed'), rejection(401, 'not-confirmed'), Response.json({})];
    await expect(apiOf(frame).status()).rejects.toMatchObject({ status: 401, reason: 'not-confirmed' });
    expect(answers).toHaveLength(1);
  });

  it('does not repeat what was rejected for another reason', async () => {
    answers = [rejection(409, 'changed-meanwhile'), new Response(null, { status: 204 })];
    await expect(apiOf(frame).save({ version: '' })).rejects.toMatchObject({ reason: 'changed-meanwhile' });
    expect(sent).toHaveLength(1);
  });

  it('says that the gateway does not answer, also behind a proxy that answers for it', async () => {
    answers = [];
    await expect(apiOf(frame).settings()).rejects.toMatchObject({ reason: 'unreachable' });
    answers = [new Response('<html>', { status: 502 })];
    await expect(apiOf(frame).settings()).rejects.toMatchObject({ status: 502, reason: '' });
  });

  it.each([
    [new PageApiError(0, 'unreachable'), 'error.unreachable'],
    [new PageApiError(401, 'no-token'), 'error.not-confirmed'],
    [new PageApiError(429, 'too-many-checks'), 'error.too-many'],
    [new PageApiError(503, 'portal-suspended'), 'state.suspended'],
    [new PageApiError(500, 'constructor'), 'error.other'],
    [new TypeError('x'), 'error.other'],
  ])('has words for %s', (error, key) => expect(messageKeyOf(error)).toBe(key));
});
