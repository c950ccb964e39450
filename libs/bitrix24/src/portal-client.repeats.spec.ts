import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { failureOf } from '../test/failure.js';
import { type Behaviour, clientOf, Peer } from '../test/peer.js';
import { RecordingRateLimiter } from '../test/recording-rate-limiter.js';
import type { PortalClient, PortalClientOptions } from './portal-client.js';
import { MAX_THROTTLED, MAX_RETRIES } from './rest/retryability.js';
import type { RequestOutcome } from './rest/sender.js';

let peer: Peer;
let pauses: number[];
let outcomes: RequestOutcome[];

beforeEach(async () => {
  peer = await Peer.start();
  pauses = [];
  outcomes = [];
});
afterEach(() => peer.stop());

function client(options: Partial<PortalClientOptions> = {}): PortalClient {
  return clientOf(peer, {
    repeatPauseMs(repeat) {
      pauses.push(repeat);
      return 0;
    },
    onOutcome(outcome) {
      outcomes.push(outcome);
      return Promise.resolve();
    },
    ...options,
  });
}

/** The first `times` answers fail with `behaviour`, later ones succeed. */
function fails(times: number, behaviour: Behaviour): void {
  peer.answer = (_, count) => (count <= times ? behaviour : { body: { result: 'done' } });
}

const busHealth: [string, Behaviour, string][] = [
  ['a broken connection', 'reset', 'TRANSPORT'],
  ['an answer that is cut', 'cut', 'BAD_ANSWER'],
  ['a page of HTML', { status: 502, body: '<html></html>' }, 'BAD_ANSWER'],
  ['an empty answer', { body: '' }, 'BAD_ANSWER'],
  ['half of its JSON', { body: '{"result":' }, 'BAD_ANSWER'],
  [
    'an error of the server',
    { status: 500, body: { error: 'INTERNAL_SERVER_ERROR' } },
    'INTERNAL_SERVER_ERROR',
  ],
];
const limited: Behaviour = { status: 503, body: { error: 'QUERY_LIMIT_EXCEEDED' } };

describe.each(busHealth)('after %s', (_, behaviour, code) => {
  it.each(['crm.item.list', 'crm.item.get', 'crm.item.update'])('%s is retried', async (method) => {
    fails(MAX_RETRIES, behaviour);
    expect(await client().call(method)).toEqual({ result: 'done' });
    expect(peer.received).toHaveLength(1 + MAX_RETRIES);
    expect(pauses).toEqual([1, 2]);
    expect(outcomes).toEqual([{ ok: true, method }]);
  });

  it('a read fails after the maximum of retries', async () => {
    peer.answer = () => behaviour;
    const error = await failureOf(client().call('crm.item.list'));
    expect(error.code).toBe(code);
    expect(peer.received).toHaveLength(1 + MAX_RETRIES);
    expect(outcomes).toEqual([{ ok: false, method: 'crm.item.list', error }]);
  });

  it('a method that may add a second item is not retried', async () => {
    fails(1, behaviour);
    expect(await failureOf(client().call('crm.item.add'))).toMatchObject({ code });
    expect(peer.received).toHaveLength(1);
  });

  it('the caller’s `repeatable` takes precedence', async () => {
    fails(1, behaviour);
    await client().call('crm.item.add', {}, { repeatable: true });
    expect(peer.received).toHaveLength(2);

    peer.received.length = 0;
    expect(await failureOf(client().call('crm.item.update', {}, { repeatable: false }))).toMatchObject({
      code,
    });
    expect(peer.received).toHaveLength(1);
  });
});

/** The first answer is an HTML page of a proxy. */
function batchFails(): void {
  peer.answer = (_, count) =>
    count === 1 ? { status: 502, body: '<html></html>' } : { body: { result: { result: { a: 1, b: 2 } } } };
}

describe('a batch', () => {
  const list = { method: 'crm.item.list' };
  const update = { method: 'crm.item.update' };
  const add = { method: 'crm.item.add' };

  it('of reads and updates is retried', async () => {
    batchFails();
    const done = await client().batch({ a: list, b: update });
    expect(done).toMatchObject({ a: { ok: true, result: 1 }, b: { ok: true, result: 2 } });
    expect(peer.received).toHaveLength(2);
    expect(outcomes).toEqual([{ ok: true, method: 'batch' }]);
  });

  it('with one command that adds is not', async () => {
    batchFails();
    expect(await failureOf(client().batch({ a: list, b: add }))).toMatchObject({ code: 'BAD_ANSWER' });
    expect(peer.received).toHaveLength(1);
  });

  it('whose response is not a batch result is retried', async () => {
    peer.answer = (_, count) => ({ body: { result: count === 1 ? 'odd' : { result: { a: 1 } } } });
    expect(await client().batch({ a: list })).toMatchObject({ a: { ok: true } });
  });

  it('is not retried for a failed command, and counts as successful', async () => {
    const result_error = { a: { error: 'INTERNAL_SERVER_ERROR' } };
    peer.answer = () => ({ body: { result: { result: [], result_error } } });
    expect(await client().batch({ a: list })).toMatchObject({ a: { ok: false } });
    expect(peer.received).toHaveLength(1);
    expect(outcomes).toEqual([{ ok: true, method: 'batch' }]);
  });
});

describe('without a connection', () => {
  it('even a method that adds is retried, because it was not delivered', async () => {
    const rateLimiter = new RecordingRateLimiter();
    const cut = client({ rateLimiter });
    await peer.stop();
    const error = await failureOf(cut.call('crm.item.add'));
    expect(error).toMatchObject({ delivered: 'no', cause: 'ECONNREFUSED' });
    expect(rateLimiter.admitted).toHaveLength(1 + MAX_RETRIES);
    expect(outcomes).toEqual([{ ok: false, method: 'crm.item.add', error }]);
    peer = await Peer.start();
  });
});

describe('no request is retried', () => {
  it.each<[string, Behaviour]>([
    ['its own fault', { status: 400, body: { error: 'NOT_FOUND' } }],
    ['a block by hand', { status: 503, body: { error: 'OVERLOAD_LIMIT' } }],
    ['a closed portal', { status: 500, body: { error: 'PORTAL_DELETED' } }],
    ['a used up operating time', { status: 429, body: { error: 'OPERATION_TIME_LIMIT' } }],
    ['a page that is not there', { status: 404, body: '<html></html>' }],
    ['a redirect', { status: 302, headers: { location: 'https://portal.example/' } }],
    ['the rate limit, when nothing paces it', limited],
  ])('after %s', async (_, behaviour) => {
    peer.answer = () => behaviour;
    const error = await failureOf(client().call('crm.item.list'));
    expect(peer.received).toHaveLength(1);
    expect(outcomes).toEqual([{ ok: false, method: 'crm.item.list', error }]);
  });

  it('after a timeout: the same would take as long again', async () => {
    peer.answer = () => 'hang';
    await failureOf(client({ timeoutMs: 50 }).call('crm.item.list'));
    expect(peer.received).toHaveLength(1);
  });

  it('after its caller has aborted, who gets the reason at once', async () => {
    fails(1, 'reset');
    const controller = new AbortController();
    const reason = new Error('shutting down');
    const waiting = client({
      repeatPauseMs: () => {
        setImmediate(() => controller.abort(reason));
        return 3_600_000;
      },
    });
    await expect(waiting.call('crm.item.list', {}, { signal: controller.signal })).rejects.toBe(reason);
    expect(peer.received).toHaveLength(1);
    expect(outcomes).toEqual([]);
  });
});

describe('the rate limit', () => {
  it('is retried for any idempotency class, each time when the rate limiter admits it', async () => {
    const rateLimiter = new RecordingRateLimiter();
    fails(MAX_THROTTLED, limited);
    await client({ rateLimiter }).call('crm.item.add');
    expect(peer.received).toHaveLength(1 + MAX_THROTTLED);
    expect(rateLimiter.rejections).toBe(MAX_THROTTLED);
    expect(rateLimiter.admitted).toHaveLength(1 + MAX_THROTTLED);
    expect(pauses).toEqual([]);
  });

  it('is an error when it does not end', async () => {
    const rateLimiter = new RecordingRateLimiter();
    peer.answer = () => limited;
    expect(await failureOf(client({ rateLimiter }).call('crm.item.list'))).toMatchObject({
      code: 'QUERY_LIMIT_EXCEEDED',
      recovery: 'wait',
    });
    expect(rateLimiter.rejections).toBe(1 + MAX_THROTTLED);
  });

  it('does not count as a retry after other errors', async () => {
    const answers: Behaviour[] = ['reset', limited, 'cut', limited];
    peer.answer = (_, count) => answers[count - 1] ?? { body: { result: 'done' } };
    expect(await client({ rateLimiter: new RecordingRateLimiter() }).call('crm.item.list')).toEqual({
      result: 'done',
    });
    expect(peer.received).toHaveLength(5);
  });
});

describe('the outcome', () => {
  it('is reported before the call ends', async () => {
    const told: string[] = [];
    const slow = client({
      onOutcome: async ({ ok }) => {
        await new Promise((resolve) => setImmediate(resolve));
        told.push(String(ok));
      },
    });
    await slow.call('user.get');
    expect(told).toEqual(['true']);
  });

  it('is not reported if nothing was sent', async () => {
    const tokens = {
      access: () => Promise.reject(new Error('no database')),
      refresh: () => Promise.reject(new Error('no database')),
    };
    await expect(client({ tokens }).call('user.get')).rejects.toThrow('no database');
    expect(outcomes).toEqual([]);
  });
});
