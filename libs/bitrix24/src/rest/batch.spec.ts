import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { clientOf, Peer } from '../../test/peer.js';
import { dig } from '../../test/php-query.js';
import { sentCommands } from '../../test/sent.js';
import type { Command, CommandOutcome } from './batch.js';
import type { PortalClient } from '../portal-client.js';

let peer: Peer;
let client: PortalClient;

beforeEach(async () => {
  peer = await Peer.start();
  client = clientOf(peer);
});
afterEach(() => peer.stop());

/** A response as PHP sends it: empty sections as lists. */
function batchAnswer(sections: Record<string, unknown>): { body: unknown } {
  const empty = { result: [], result_error: [], result_total: [], result_next: [], result_time: [] };
  return { body: { result: { ...empty, ...sections }, time: { start: 1, finish: 2 } } };
}

const get = (id: number): Command => ({ method: 'crm.item.get', params: { entityTypeId: 3, id } });

function commands(count: number): Record<string, Command> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`c${index}`, get(index)]));
}

function errorOf(outcome: CommandOutcome | undefined): object | undefined {
  return outcome?.ok === false ? outcome.error : undefined;
}

describe('a batch', () => {
  it('is one request with a query for each command', async () => {
    peer.answer = () => batchAnswer({ result: { one: { item: { id: 1 } }, me: { ID: '7' } } });

    const outcomes = await client.batch({ one: get(1), me: { method: 'user.current' } }, { halt: true });

    expect(peer.received).toHaveLength(1);
    expect(peer.received[0]?.path).toBe('/rest/batch');
    expect(JSON.parse(peer.received[0]?.text ?? '')).toEqual({
      halt: 1,
      cmd: { one: 'crm.item.get?entityTypeId=3&id=1', me: 'user.current' },
      auth: 'token-1',
    });
    expect(outcomes).toEqual({
      one: { ok: true, result: { item: { id: 1 } } },
      me: { ok: true, result: { ID: '7' } },
    });
  });

  it('passes references unchanged', async () => {
    peer.answer = () => batchAnswer({});
    const linked = { method: 'department.get', params: { ID: '$result[me][UF_DEPARTMENT][0]' } };
    await client.batch({ me: { method: 'user.current' }, linked });

    const sent = sentCommands(peer.received[0]!).get('linked');
    expect(dig(sent?.params, 'ID')).toBe('$result[me][UF_DEPARTMENT][0]');
  });

  it('gives each command its own result, error, counts and times', async () => {
    peer.answer = () =>
      batchAnswer({
        result: { a: [1, 2] },
        result_error: {
          b: { error: 'NOT_FOUND', error_description: 'no such item' },
          c: 'insufficient_scope',
        },
        result_total: { a: 120 },
        result_next: { a: 50 },
        result_time: { a: { duration: 0.25, operating: 1.5 } },
      });

    const outcomes = await client.batch({
      a: { method: 'crm.item.list' },
      b: get(2),
      c: { method: 'task.get' },
    });

    expect(outcomes['a']).toEqual({
      ok: true,
      result: [1, 2],
      total: 120,
      next: 50,
      time: { duration: 0.25, operating: 1.5 },
    });
    expect(errorOf(outcomes['b'])).toMatchObject({
      code: 'NOT_FOUND',
      recovery: 'never',
      memberId: 'm1',
      message: 'NOT_FOUND from crm.item.get',
    });
    expect(errorOf(outcomes['c'])).toMatchObject({ code: 'INSUFFICIENT_SCOPE' });
  });

  it('distinguishes a command without a result from one that was not run', async () => {
    peer.answer = () =>
      batchAnswer({ result: { a: null, b: [], c: false }, result_error: { d: { error: 'ERROR_CORE' } } });

    const outcomes = await client.batch(
      { a: get(1), b: get(2), c: get(3), d: get(4), e: get(5) },
      { halt: true },
    );

    expect(Object.keys(outcomes)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(outcomes).toMatchObject({
      a: { ok: true, result: null },
      b: { ok: true, result: [] },
      c: { ok: true, result: false },
    });
    expect(errorOf(outcomes['d'])).toMatchObject({ code: 'ERROR_CORE' });
    expect(errorOf(outcomes['e'])).toMatchObject({ code: 'NOT_RUN', recovery: 'retry' });
  });

  it('reads sections that PHP serialized as lists, because their keys are 0, 1, 2 …', async () => {
    peer.answer = () => batchAnswer({ result: ['first', 'second'], result_total: [1, 2] });

    expect(await client.batch({ 0: get(1), 1: get(2) })).toMatchObject({
      0: { ok: true, result: 'first', total: 1 },
      1: { ok: true, result: 'second', total: 2 },
    });
  });

  it('keeps an expired token inside a command as the outcome of that command', async () => {
    peer.answer = () => batchAnswer({ result_error: { a: { error: 'expired_token' } } });

    const outcomes = await client.batch({ a: get(1) });
    expect(errorOf(outcomes['a'])).toMatchObject({ code: 'EXPIRED_TOKEN', recovery: 'retry' });
    expect(peer.received).toHaveLength(1);
  });

  it('reports how long a command is blocked', async () => {
    peer.answer = () =>
      batchAnswer({
        result_error: { a: { error: 'OPERATION_TIME_LIMIT' } },
        result_time: { a: { finish: 100, operating_reset_at: 130 } },
      });

    const outcomes = await client.batch({ a: get(1) });
    expect(errorOf(outcomes['a'])).toMatchObject({ recovery: 'wait', retryAfterMs: 30_000 });
  });

  it('sends no request without commands', async () => {
    expect(await client.batch({})).toEqual({});
    expect(peer.received).toHaveLength(0);
  });

  it('accepts fifty commands and rejects one more', async () => {
    peer.answer = () => batchAnswer({});
    expect(Object.keys(await client.batch(commands(50)))).toHaveLength(50);
    await expect(client.batch(commands(51))).rejects.toThrow(RangeError);
    expect(peer.received).toHaveLength(1);
  });

  it('rejects parameters that a command cannot contain before anything is sent', async () => {
    await expect(
      client.batch({ a: { method: 'crm.item.list', params: { filter: { '@id': [] } } } }),
    ).rejects.toThrow(TypeError);
    await expect(client.batch({ a: { method: 'user.get?ID=1' } })).rejects.toThrow(TypeError);
    expect(peer.received).toHaveLength(0);
  });

  it.each([null, 'done', [], { result: 5 }, { result_error: [] }])(
    'reports %j as BAD_ANSWER',
    async (result) => {
      peer.answer = () => ({ body: { result } });
      await expect(client.batch({ a: get(1) })).rejects.toMatchObject({ code: 'BAD_ANSWER', memberId: 'm1' });
    },
  );

  it('reports an unreadable error as BAD_ANSWER of its command only', async () => {
    peer.answer = () => batchAnswer({ result: { a: 1 }, result_error: { b: [] } });
    const outcomes = await client.batch({ a: get(1), b: get(2) });
    expect(outcomes['a']).toMatchObject({ ok: true });
    expect(errorOf(outcomes['b'])).toMatchObject({ code: 'BAD_ANSWER' });
  });
});
