import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { failureOf } from '../test/failure.js';
import { clientOf, Peer } from '../test/peer.js';
import { RecordingRateLimiter } from '../test/recording-rate-limiter.js';
import { sentCommands } from '../test/sent.js';
import type { Command } from './rest/batch.js';
import type { PortalClient } from './portal-client.js';

let peer: Peer;
let rateLimiter: RecordingRateLimiter;
let client: PortalClient;

beforeEach(async () => {
  peer = await Peer.start();
  rateLimiter = new RecordingRateLimiter();
  client = clientOf(peer, { rateLimiter, priority: 'background' });
});
afterEach(() => peer.stop());

const list: Command = { method: 'crm.item.list', params: { entityTypeId: 3 } };
const update: Command = { method: 'crm.Item.Update', params: { id: 1 } };

function answersBatch(sections: object, time: object = {}): void {
  peer.answer = () => ({ body: { result: { result: [], ...sections }, time } });
}

describe('a request', () => {
  it('is admitted with its priority and its methods in lower case', async () => {
    await client.call('crm.item.List');
    answersBatch({});
    await client.batch({ a: list, b: update, c: list });

    expect(rateLimiter.admitted).toEqual([
      { priority: 'background', methods: ['crm.item.list'] },
      { priority: 'background', methods: ['crm.item.list', 'crm.item.update', 'batch'] },
    ]);
    expect(rateLimiter.asked).toBe(2);
  });

  it('is admitted again for each retry', async () => {
    peer.answer = (_, count) => (count < 3 ? 'reset' : { body: { result: 1 } });
    await client.call('crm.item.list');
    expect(rateLimiter.admitted).toHaveLength(3);
  });

  it('is not sent when the rate limiter throws', async () => {
    const full = new Error('no room in the bucket');
    rateLimiter.admit = () => Promise.reject(full);
    await expect(client.call('crm.item.list')).rejects.toBe(full);
    expect(peer.received).toHaveLength(0);
  });
});

describe('a paused method', () => {
  beforeEach(() => {
    rateLimiter.pauses = new Map([['crm.item.list', 90_000]]);
  });

  it('is not called', async () => {
    expect(await failureOf(client.call('CRM.item.list'))).toMatchObject({
      code: 'OPERATION_TIME_LIMIT',
      recovery: 'wait',
      retryAfterMs: 90_000,
      delivered: 'no',
      memberId: 'm1',
    });
    expect(rateLimiter.admitted).toEqual([]);
    expect(peer.received).toHaveLength(0);
  });

  it('is removed from a batch, whose other commands are sent', async () => {
    answersBatch({ result: { b: 'done' } });
    const outcomes = await client.batch({ a: list, b: update, c: list });

    expect(Object.keys(outcomes)).toEqual(['a', 'b', 'c']);
    expect(outcomes).toMatchObject({
      a: { ok: false, error: { code: 'OPERATION_TIME_LIMIT', retryAfterMs: 90_000, delivered: 'no' } },
      b: { ok: true, result: 'done' },
      c: { ok: false, error: { recovery: 'wait' } },
    });
    expect([...sentCommands(peer.received[0]!).keys()]).toEqual(['b']);
    expect(rateLimiter.admitted).toEqual([{ priority: 'background', methods: ['crm.item.update', 'batch'] }]);
  });

  it('causes no request for a batch without other commands', async () => {
    const outcomes = await client.batch({ a: list });
    expect(outcomes).toMatchObject({ a: { ok: false, error: { code: 'OPERATION_TIME_LIMIT' } } });
    expect(rateLimiter.admitted).toEqual([]);
    expect(peer.received).toHaveLength(0);
  });

  it.each([
    ['halts', { a: list, b: update }, true],
    [
      'links its commands',
      { a: update, b: list, c: { method: 'user.get', params: { ID: ['$result[a][ID]'] } } },
      false,
    ],
  ])('rejects a batch that %s as a whole', async (_, commands, halt) => {
    rateLimiter.pauses.set('crm.item.update', 120_000);
    expect(await failureOf(client.batch(commands, { halt }))).toMatchObject({
      code: 'OPERATION_TIME_LIMIT',
      message: 'OPERATION_TIME_LIMIT from batch',
      retryAfterMs: 120_000,
    });
    expect(peer.received).toHaveLength(0);
  });

  it('fails every batch if it is batch itself', async () => {
    rateLimiter.pauses = new Map([['batch', 5_000]]);
    expect(await failureOf(client.batch({ b: update }))).toMatchObject({ retryAfterMs: 5_000 });
    expect(peer.received).toHaveLength(0);
  });

  it('does not concern linked commands of other methods', async () => {
    answersBatch({ result: { a: 1 } });
    await client.batch({ a: update }, { halt: true });
    expect(peer.received).toHaveLength(1);
  });
});

describe('the operating time in a response', () => {
  it('is observed under the method that was called', async () => {
    peer.answer = () => ({
      body: { result: 1, time: { finish: 1000, operating: 3.5, operating_reset_at: 1600 } },
    });
    await client.call('crm.Item.list');
    expect(rateLimiter.observed).toEqual([
      { method: 'crm.item.list', operatingSeconds: 3.5, resetsInMs: 600_000, exhausted: false },
    ]);
  });

  it('is observed in an error', async () => {
    const time = { finish: 1000, operating_reset_at: 1042 };
    peer.answer = () => ({ status: 429, body: { error: 'OPERATION_TIME_LIMIT', time } });
    await failureOf(client.call('crm.item.list'));
    expect(rateLimiter.observed).toEqual([
      { method: 'crm.item.list', operatingSeconds: undefined, resetsInMs: 42_000, exhausted: true },
    ]);
  });

  it('is observed of each method of a batch by the most that was counted, and of batch itself', async () => {
    answersBatch(
      {
        result: { a: 1, b: 2 },
        result_error: { c: { error: 'OPERATION_TIME_LIMIT' }, e: { error: 'NOT_FOUND' } },
        result_time: {
          a: { finish: 100, operating: 470, operating_reset_at: 160 },
          b: { finish: 100, operating: 481, operating_reset_at: 160 },
          c: { finish: 100, operating_reset_at: 130 },
          d: { finish: 100, operating: 2, operating_reset_at: 700 },
          e: { finish: 100, operating: 3, operating_reset_at: 700 },
          f: { operating: 'much' },
        },
      },
      { finish: 100, operating: 9, operating_reset_at: 700 },
    );
    const other = { method: 'user.get' };
    const free = { method: 'profile' };
    await client.batch({ a: list, b: list, c: list, d: other, e: other, f: free });

    expect(rateLimiter.observed).toEqual([
      { method: 'crm.item.list', operatingSeconds: 481, resetsInMs: 30_000, exhausted: true },
      { method: 'user.get', operatingSeconds: 3, resetsInMs: 600_000, exhausted: false },
      { method: 'batch', operatingSeconds: 9, resetsInMs: 600_000, exhausted: false },
    ]);
  });

  it('is not observed at a portal that does not count', async () => {
    peer.answer = () => ({ body: { result: 1, time: { start: 1, finish: 2 } } });
    rateLimiter.observe = () => Promise.reject(new Error('there is nothing to observe'));
    expect(await client.call('crm.item.list')).toMatchObject({ result: 1 });
  });
});
