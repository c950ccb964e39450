import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestSimulator } from '../test/support.js';

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
    ['overload', 503, 'OVERLOAD_LIMIT'],
    ['operating', 429, 'OPERATION_TIME_LIMIT'],
    ['expired', 401, 'expired_token'],
    ['unauthorized', 401, 'NO_AUTH_FOUND'],
    ['denied', 403, 'ACCESS_DENIED'],
    ['deleted', 500, 'PORTAL_DELETED'],
    ['invalid', 400, 'ERROR_CORE'],
  ])('of kind %s answers %d %s', async (kind, status, code) => {
    await order(kind);
    expect((await b24.call('profile')).error).toEqual([status, code]);
    expect((await b24.call('profile')).status).toBe(200);
  });

  it('can be an HTML page, an empty answer or a redirect', async () => {
    await order('html');
    expect((await b24.call('profile')).body).toContain('<html>');
    await order('empty');
    expect(await b24.call('profile')).toMatchObject({ status: 200, body: '' });
    await order('redirect');
    expect((await b24.call('profile')).status).toBe(302);
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

  it('strikes as often as ordered, only the calls it names, and can be called off', async () => {
    await order('500', { times: 2 });
    expect((await b24.call('scope')).status).toBe(200);
    const statuses = [await b24.call('profile'), await b24.call('PROFILE'), await b24.call('profile')];
    expect(statuses.map(({ status }) => status)).toEqual([500, 500, 200]);
    await order('500', { times: 100 });
    await b24.send('/_sim/portals/demo/faults', { method: 'DELETE' });
    expect((await b24.call('profile')).status).toBe(200);
  });

  it('strikes one command of a batch, one item only if so ordered', async () => {
    await b24.control('faults', { match: 'crm.item.update', kind: 'invalid', times: 9, where: { id: 2 } });
    const answer = await b24.call('batch', {
      cmd: { one: updateCommand(1), two: updateCommand(2), three: updateCommand(3) },
    });
    expect(answer.at('result.result_error')).toEqual({
      two: { error: 'ERROR_CORE', error_description: expect.any(String) },
    });
    expect(Object.keys(Object(answer.at('result.result')))).toEqual(['one', 'three']);
  });

  it('of the wire strikes the answer of a batch that calls the method', async () => {
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

  it('of an unknown kind is not taken', async () => {
    expect((await order('flood')).status).toBe(400);
  });
});
