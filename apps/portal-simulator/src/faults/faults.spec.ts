import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestSimulator } from '../../test/support.js';

let b24: TestSimulator;

beforeAll(async () => {
  b24 = await TestSimulator.start();
  await b24.send('/_sim/portals/demo', { method: 'PATCH', body: '{"rate": 1000, "burst": 1000}' });
});
afterAll(() => b24.close());

const order = (kind: string, more: object = {}) => b24.control('faults', { match: 'profile', kind, ...more });

const updateCommand = (id: number) => `crm.item.update?entityTypeId=3&id=${id}&fields[name]=x`;

describe('a fault', () => {
  it.each([
    ['500', 500, 'INTERNAL_SERVER_ERROR'],
    ['503', 503, 'QUERY_LIMIT_EXCEEDED'],
    ['overload', 401, 'OVERLOAD_LIMIT'],
    ['operating', 429, 'OPERATION_TIME_LIMIT'],
    ['expired', 401, 'expired_token'],
    ['unauthorized', 401, 'NO_AUTH_FOUND'],
    ['denied', 401, 'ACCESS_DENIED'],
    ['deleted', 403, 'PORTAL_DELETED'],
    ['invalid', 400, 'ERROR_CORE'],
    ['unexpected', 500, 'ERROR_UNEXPECTED_ANSWER'],
    ['invalid_token', 401, 'invalid_token'],
    ['credentials', 401, 'INVALID_CREDENTIALS'],
    ['scope', 401, 'insufficient_scope'],
    ['user', 401, 'user_access_error'],
    ['https', 401, 'INVALID_REQUEST'],
    ['connection', 401, 'CONNECTION_ERROR'],
    ['dismissed', 401, 'authorization_error'],
    ['batch_length', 400, 'ERROR_BATCH_LENGTH_EXCEEDED'],
  ])('of kind %s answers %d %s', async (kind, status, code) => {
    await order(kind);
    expect((await b24.call('profile')).error).toEqual([status, code]);
    expect((await b24.call('profile')).status).toBe(200);
  });

  it('has the status of its rule, as an older portal has it', async () => {
    await order('denied', { status: 403, times: 2 });
    expect((await b24.call('profile')).error).toEqual([403, 'ACCESS_DENIED']);
    const batch = await b24.call('batch', { cmd: { one: 'profile' } });
    expect(batch.at('result.result_error.one.error')).toBe('ACCESS_DENIED');
  });

  it('has the code of its rule, alone and in a batch, for the calls with its parameters alone', async () => {
    const where = { filter: { '@id': ['2'] } };
    await b24.control('faults', {
      match: 'crm.item.list',
      kind: 'error',
      code: 'ACCESS_DENIED',
      where,
      times: 2,
    });
    const list = (...ids: number[]) => b24.call('crm.item.list', { entityTypeId: 3, filter: { '@id': ids } });
    expect((await list(1, 2)).status).toBe(200);
    expect((await list(2, 1)).error).toEqual([400, 'ACCESS_DENIED']);
    const cmd = {
      one: 'crm.item.list?entityTypeId=3&filter[@id][0]=2',
      other: 'crm.item.list?entityTypeId=3',
    };
    const batch = await b24.call('batch', { cmd });
    expect(batch.at('result.result_error')).toEqual({
      one: { error: 'ACCESS_DENIED', error_description: expect.any(String) },
    });
  });

  it('can be an HTML page, an empty answer or a redirect', async () => {
    await order('html');
    expect((await b24.call('profile')).body).toContain('<html>');
    await order('empty');
    expect(await b24.call('profile')).toMatchObject({ status: 200, body: '' });
    await order('redirect');
    expect((await b24.call('profile')).status).toBe(302);
  });

  it.each([200, 403, 404, 500, 502, 503, 504])('can be an HTML page with the status %d', async (status) => {
    await order('html', { status });
    const answer = await b24.call('profile');
    expect([answer.status, answer.headers.get('content-type')]).toEqual([status, 'text/html']);
    expect(answer.body).toContain(`<h1>${status} `);
  });

  it('can be invalid JSON, or JSON of an unexpected shape', async () => {
    await order('garbled');
    await expect(b24.call('profile')).rejects.toMatchObject({ name: 'SyntaxError' });
    await order('odd', { status: 500 });
    expect(await b24.call('profile')).toMatchObject({ status: 500, body: [expect.any(String)] });
  });

  it('of kind slow answers as usual, late, and only the calls that match', async () => {
    await b24.control('faults', { match: 'crm.item.update', kind: 'slow', ms: 300 });
    const startedMs = performance.now();
    expect((await b24.call('profile')).status).toBe(200);
    const answer = await b24.call('batch', { cmd: { one: 'profile', two: updateCommand(2) } });
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(295);
    expect(answer.at('result.result.two.item.name')).toBe('x');
  });

  it('of kind slow has done the work when the caller gives up; an error is as late', async () => {
    await b24.control('faults', { match: 'crm.item.update', kind: 'slow', ms: 60_000, times: 2 });
    const update = (id: number, name: string) =>
      b24.send('/portals/demo/rest/1/demo/crm.item.update', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ entityTypeId: 3, id, fields: { name } }),
        signal: AbortSignal.timeout(200),
      });
    await expect(update(1, 'late')).rejects.toMatchObject({ name: 'TimeoutError' });
    await expect(update(999, 'late')).rejects.toMatchObject({ name: 'TimeoutError' });
    expect((await b24.send('/_sim/portals/demo/items/3/1')).at('name')).toBe('late');
  });

  it('can come after the work was done, whatever it is', async () => {
    await b24.control('faults', { match: 'crm.item.update', kind: 'html', status: 504, worked: true });
    const params = { entityTypeId: 3, id: 1, fields: { name: 'behind a gateway' } };
    expect((await b24.call('crm.item.update', params)).status).toBe(504);
    expect((await b24.send('/_sim/portals/demo/items/3/1')).at('name')).toBe('behind a gateway');
  });

  it.each(['cut', 'drop', 'lost'])('of kind %s breaks the connection', async (kind) => {
    await order(kind);
    await expect(b24.call('profile')).rejects.toMatchObject({ name: 'TypeError' });
  });

  it('of kind hang never answers', async () => {
    await order('hang');
    const path = '/portals/demo/rest/1/demo/profile';
    await expect(b24.send(path, { signal: AbortSignal.timeout(100) })).rejects.toMatchObject({
      name: 'TimeoutError',
    });
  });

  it('of kind lost has run the method, of kind drop has not', async () => {
    const update = (name: string) =>
      b24.call('crm.item.update', { entityTypeId: 3, id: 1, fields: { name } });
    await b24.control('faults', { match: 'crm.item.*', kind: 'lost' });
    await expect(update('written')).rejects.toMatchObject({ name: 'TypeError' });
    await b24.control('faults', { match: 'crm.item.*', kind: 'drop' });
    await expect(update('not written')).rejects.toMatchObject({ name: 'TypeError' });
    expect((await b24.send('/_sim/portals/demo/items/3/1')).at('name')).toBe('written');
  });

  it('strikes as often as it says, only the calls that it matches, and can be cleared', async () => {
    await order('500', { times: 2 });
    expect((await b24.call('scope')).status).toBe(200);
    const statuses = [await b24.call('profile'), await b24.call('PROFILE'), await b24.call('profile')];
    expect(statuses.map(({ status }) => status)).toEqual([500, 500, 200]);
    await order('500', { times: 100 });
    await b24.send('/_sim/portals/demo/faults', { method: 'DELETE' });
    expect((await b24.call('profile')).status).toBe(200);
  });

  it('strikes one command of a batch, and only one item if its rule says so', async () => {
    await b24.control('faults', { match: 'crm.item.update', kind: 'invalid', times: 9, where: { id: 2 } });
    const answer = await b24.call('batch', {
      cmd: { one: updateCommand(1), two: updateCommand(2), three: updateCommand(3) },
    });
    expect(answer.at('result.result_error')).toEqual({
      two: { error: 'ERROR_CORE', error_description: expect.any(String) },
    });
    expect(Object.keys(Object(answer.at('result.result')))).toEqual(['one', 'three']);
  });

  it('of the network strikes the response of a batch that calls the method', async () => {
    const cmd = { one: 'profile', two: updateCommand(3) };
    await b24.control('faults', { match: 'crm.item.update', kind: 'lost' });
    await expect(b24.call('batch', { cmd })).rejects.toMatchObject({ name: 'TypeError' });
    expect((await b24.send('/_sim/portals/demo/items/3/3')).at('name')).toBe('x');
    expect((await b24.call('batch', { cmd })).status).toBe(200);
  });

  it('strikes the token endpoint by the name oauth.token; some of its errors come with HTTP 200', async () => {
    const { refreshToken } = await b24.install();
    await b24.control('faults', { match: 'oauth.token', kind: 'wrong_client' });
    expect((await b24.refresh(refreshToken)).error).toEqual([200, 'wrong_client']);
    await b24.control('faults', { match: 'oauth.token', kind: 'drop' });
    await expect(b24.refresh(refreshToken)).rejects.toMatchObject({ name: 'TypeError' });
    expect((await b24.refresh(refreshToken)).status).toBe(200);
  });

  it('of kind lost at the token endpoint has used the refresh token up', async () => {
    const { refreshToken } = await b24.install();
    await b24.control('faults', { match: 'oauth.token', kind: 'lost' });
    await expect(b24.refresh(refreshToken)).rejects.toMatchObject({ name: 'TypeError' });
    expect((await b24.refresh(refreshToken)).error).toEqual([400, 'invalid_grant']);
  });

  it.each([
    ['invalid_grant', 400],
    ['invalid_client', 401],
    ['payment', 402],
    ['html', 502],
  ])('of kind %s at the token endpoint leaves the refresh token good', async (kind, status) => {
    const { refreshToken } = await b24.install();
    await b24.control('faults', { match: 'oauth.token', kind });
    expect((await b24.refresh(refreshToken)).status).toBe(status);
    expect((await b24.refresh(refreshToken)).status).toBe(200);
  });

  it('of an unknown kind is not taken', async () => {
    expect((await order('flood')).status).toBe(400);
  });
});
