import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { ApiVersion, B24OAuth, type B24OAuthParams } from '@bitrix24/b24jssdk';
import { installedParams, rejectionOf, webhookOf } from '../../apps/portal-simulator/test/official-sdk.js';
import { TestSimulator } from '../../apps/portal-simulator/test/support.js';
import { TlsFront } from '../../apps/portal-simulator/test/tls-front.js';

/**
 * The simulator, checked by a client that nobody here wrote: Bitrix's own SDK, as it is. In this file nothing is
 * pretended: real HTTP, the SDK's own limiter and refresh. Only the addresses are other ones than Bitrix24's.
 */
let b24: TestSimulator;
const items = 120;

beforeEach(async () => {
  b24 = await TestSimulator.start();
  await b24.post('/_sim/portals', { name: 'acme', types: [{ entityTypeId: 147, title: 'Orders' }] });
  await b24.control('items/147', { count: items, fields: { title: 'Order {n}' }, silent: true }, 'acme');
});
afterEach(() => b24.close());

const secret = { clientId: 'demo.app', clientSecret: 'demo.secret' };
/** Its usual three attempts would wait for seconds where a test wants to see the rejection. */
const once = { restrictionParams: { maxRetries: 1 } };

const application = async (options?: ConstructorParameters<typeof B24OAuth>[2]) =>
  new B24OAuth(await installedParams(b24, 'acme'), secret, options);

const list = { method: 'crm.item.list', params: { entityTypeId: 147 } };
const orders = { ...list, idKey: 'id', customKeyForResult: 'items' };

const get = (id: number) => ({ method: 'crm.item.get', params: { entityTypeId: 147, id } });

describe('the official SDK as an application', () => {
  it('calls with the tokens that ONAPPINSTALL brought', async () => {
    const sdk = await application();
    const answer = await sdk.actions.v2.call.make<{ items: { id: number }[] }>(list);
    expect(answer.isSuccess).toBe(true);
    expect(answer.getData()?.result.items[0]).toMatchObject({ id: 1, title: 'Order 1' });
    expect([answer.getTotal(), answer.isMore()]).toEqual([items, true]);
    await sdk.initIsAdmin();
    expect(sdk.auth.isAdmin).toBe(true);
    expect(await sdk.tools.healthCheck.make()).toBe(true);
    expect(await b24.stats('acme')).toMatchObject({
      calls: { 'crm.item.list': 1, profile: 1, 'server.time': 1 },
    });
  });

  it('refreshes when its token has expired, and tells whom it is to be told', async () => {
    const params = await installedParams(b24, 'acme');
    const sdk = new B24OAuth(params, secret);
    const told: B24OAuthParams[] = [];
    sdk.setCallbackRefreshAuth(async ({ b24OAuthParams }) => void told.push({ ...b24OAuthParams }));
    for (let round = 1; round <= 2; round += 1) {
      await b24.control('expire-tokens', {}, 'acme');
      const answer = await sdk.actions.v2.call.make({ method: 'profile' });
      expect(answer.isSuccess).toBe(true);
      expect(await b24.stats('acme')).toMatchObject({ requests: 2 * round, renewals: round });
    }
    const refreshTokens = [params.refreshToken, ...told.map(({ refreshToken }) => refreshToken)];
    expect(new Set(refreshTokens).size).toBe(3);
    expect(told[1]).toMatchObject({ clientEndpoint: params.clientEndpoint, expiresIn: 3600 });
  });

  it('never uses a refresh token twice when many calls meet one expiry', async () => {
    const params = await installedParams(b24, 'acme');
    const sdk = new B24OAuth(params, secret);
    const told: string[] = [];
    sdk.setCallbackRefreshAuth(async ({ b24OAuthParams }) => void told.push(b24OAuthParams.refreshToken));
    await b24.control('expire-tokens', {}, 'acme');
    // A 401 that comes after the refresh makes this SDK refresh once more, which ends the token that others just got.
    await Promise.allSettled(
      Array.from({ length: 8 }, () => sdk.actions.v2.call.make({ method: 'profile' })),
    );
    expect(new Set([params.refreshToken, ...told]).size).toBe(told.length + 1);
    const uses = { renewals: told.length, calls: { 'oauth.token': told.length } };
    expect(await b24.stats('acme')).toMatchObject(uses);
  });

  it('cannot refresh with a refresh token that somebody has used', async () => {
    const params = await installedParams(b24, 'acme');
    const sdk = new B24OAuth(params, secret, once);
    expect((await b24.refresh(params.refreshToken)).status).toBe(200);
    await expect(sdk.auth.refreshAuth()).rejects.toMatchObject({ code: 'invalid_grant', status: 400 });
    await expect(sdk.actions.v2.call.make({ method: 'profile' })).rejects.toMatchObject({
      message: expect.stringMatching(/refresh token/i),
    });
  });

  it('reads why the OAuth server rejects', async () => {
    const params = await installedParams(b24, 'acme');
    const stranger = new B24OAuth(params, { ...secret, clientSecret: 'wrong' });
    await expect(stranger.auth.refreshAuth()).rejects.toMatchObject({ code: 'invalid_client', status: 401 });
    await b24.control('suspend', { reason: 'payment' }, 'acme');
    const sdk = new B24OAuth(params, secret);
    await expect(sdk.auth.refreshAuth()).rejects.toMatchObject({ code: 'PAYMENT_REQUIRED' });
  });

  it('loses a call at the old address of a renamed portal, and learns the new one by refreshing', async () => {
    const sdk = await application(once);
    const told: B24OAuthParams[] = [];
    sdk.setCallbackRefreshAuth(async ({ b24OAuthParams }) => void told.push({ ...b24OAuthParams }));
    await b24.control('rename', { to: 'umbrella' }, 'acme');
    // Its HTTP client follows the 302 with a GET, which has lost the parameters (change-domen.md).
    expect(await rejectionOf(sdk.actions.v2.call.make(list))).toEqual([401, 'NO_AUTH_FOUND']);
    await sdk.auth.refreshAuth();
    const [params] = told;
    expect(params?.clientEndpoint).toBe(`${b24.simulator.url}/portals/umbrella/rest/`);
    if (!params) return;
    const moved = await new B24OAuth(params, secret).actions.v2.call.make(list);
    expect(moved.getTotal()).toBe(items);
  });
});

describe('the official SDK reads lists', () => {
  it.each(['callList', 'fetchList'] as const)('by id with %s', async (way) => {
    const sdk = await application();
    const read: unknown[] = [];
    if (way === 'callList') read.push(...((await sdk.actions.v2.callList.make(orders)).getData() ?? []));
    else for await (const page of sdk.actions.v2.fetchList.make(orders)) read.push(...page);
    expect(read).toHaveLength(items);
    expect(read.at(-1)).toMatchObject({ id: items, title: `Order ${items}` });
    expect(await b24.stats('acme')).toMatchObject({ requests: 3 });
  });

  it('of made items by id to the last, and the fields that tell what their values are', async () => {
    const userFields = [
      { type: 'enumeration', items: [{ value: 'Red' }] },
      { type: 'money', isMultiple: true },
    ];
    await b24.control('types/147/fields', userFields, 'acme');
    await b24.control('items/147/make', { count: 180, seed: 1 }, 'acme');
    const sdk = await application();
    const read = (await sdk.actions.v2.callList.make(orders)).getData() ?? [];
    expect(read.map((item) => Object(item).id)).toEqual(Array.from({ length: 300 }, (_, index) => index + 1));
    const described = await sdk.actions.v2.call.make<{
      fields: Record<string, { type: string; items?: { ID: string; VALUE: string }[] }>;
    }>({ method: 'crm.item.fields', params: { entityTypeId: 147 } });
    const fields = Object.entries(described.getData()?.result.fields ?? {});
    const colour = fields.find(([, { type }]) => type === 'enumeration');
    expect(colour?.[1].items).toEqual([{ ID: '1', VALUE: 'Red' }]);
    expect(Object.keys(Object(read.at(-1)))).toEqual(expect.arrayContaining(fields.map(([name]) => name)));
  });

  it('and calls and batches by their old names, page by page', async () => {
    const deprecation = jest.spyOn(console, 'warn').mockImplementation(() => undefined);
    const sdk = await application();
    const all = await sdk.callListMethod(list.method, list.params, null, 'items');
    expect(all.getData()).toHaveLength(items);
    let fetched = 0;
    for await (const page of sdk.fetchListMethod(list.method, list.params, 'id', 'items'))
      fetched += page.length;
    expect(fetched).toBe(items);
    const second = await sdk.callMethod(list.method, list.params, 50);
    expect(second.getData()?.result).toMatchObject({ items: expect.arrayContaining([]) });
    const batch = await sdk.callBatch([{ method: 'profile', params: {} }, list], true);
    expect(batch.getData()).toMatchObject([{ ID: '1' }, { items: expect.any(Array) }]);
    deprecation.mockRestore();
  });
});

describe('the official SDK sends batches', () => {
  it('with names or without, errors apart', async () => {
    const sdk = await application();
    const options = { isHaltOnError: false, returnAjaxResult: true };
    const named = await sdk.actions.v2.batch.make({ calls: { one: get(1), none: get(999), list }, options });
    expect(named.isSuccess).toBe(false);
    expect(named.getErrorMessages()).toEqual(['Item not found']);
    expect(named.getData()).toMatchObject({
      one: { isSuccess: true },
      none: { isSuccess: false },
      list: { isSuccess: true },
    });
    const listed = await sdk.actions.v2.batch.make({ calls: [get(999), get(1)], options });
    expect(listed.getData()).toMatchObject([{ isSuccess: false }, { isSuccess: true }]);
    const halted = await sdk.actions.v2.batch.make({
      calls: [get(1), get(999), get(2)],
      options: { isHaltOnError: true, returnAjaxResult: true },
    });
    expect(halted.getData()).toHaveLength(2);
  });

  it('of linked calls, and of more than fifty in parts', async () => {
    const sdk = await application();
    const linked = await sdk.actions.v2.batch.make({
      calls: {
        list,
        last: { method: 'crm.item.get', params: { entityTypeId: 147, id: '$result[list][items][49][id]' } },
      },
    });
    expect(linked.getData()).toMatchObject({ last: { item: { id: 50, title: 'Order 50' } } });
    const calls = Array.from({ length: items }, (_, index) => ({
      method: 'crm.item.update',
      params: { entityTypeId: 147, id: index + 1, fields: { title: `Changed & “${index + 1}”` } },
    }));
    const updated = await sdk.actions.v2.batchByChunk.make({ calls, options: { isHaltOnError: false } });
    expect([updated.isSuccess, updated.getData()]).toEqual([true, expect.any(Array)]);
    expect((await b24.send(`/_sim/portals/acme/items/147/${items}`)).at('title')).toBe(
      `Changed & “${items}”`,
    );
    expect(await b24.stats('acme')).toMatchObject({ requests: 4, calls: { batch: 4 } });
  });
});

describe('the official SDK understands the rejection', () => {
  it.each([
    ['no.such.method', {}, [404, 'ERROR_METHOD_NOT_FOUND']],
    ['crm.item.get', { entityTypeId: 147, id: 999 }, [400, 'NOT_FOUND']],
    ['crm.item.get', { entityTypeId: 147 }, [400, '100']],
    ['crm.item.list', { entityTypeId: 147, filter: { nonsense: 1 } }, [400, 'INVALID_ARG_VALUE']],
    ['event.bind', { event: 'ONNONSENSE', handler: 'https://x.test/' }, [400, 'ERROR_EVENT_NOT_FOUND']],
  ])('of %s with %j', async (method, params, rejection) => {
    const sdk = await application(once);
    expect(await rejectionOf(sdk.actions.v2.call.make({ method, params }))).toEqual(rejection);
  });

  it.each([
    ['overload', [401, 'OVERLOAD_LIMIT']],
    ['denied', [401, 'ACCESS_DENIED']],
    ['deleted', [403, 'PORTAL_DELETED']],
  ])('of a portal suspended for %s', async (reason, rejection) => {
    const sdk = await application(once);
    await b24.control('suspend', { reason }, 'acme');
    expect(await rejectionOf(sdk.actions.v2.call.make(list))).toEqual(rejection);
  });

  it('of an answer that is a page, and of none', async () => {
    const sdk = await application(once);
    await b24.control('faults', { match: 'crm.item.list', kind: 'html' }, 'acme');
    expect(await rejectionOf(sdk.actions.v2.call.make(list))).toEqual([502, 'ERR_BAD_RESPONSE']);
    await b24.control('faults', { match: 'crm.item.list', kind: 'drop' }, 'acme');
    expect(await rejectionOf(sdk.actions.v2.call.make(list))).toEqual([0, 'ECONNRESET']);
  });

  it('of the rate limit, and gets through when it has waited', async () => {
    await b24.send('/_sim/portals/acme', { method: 'PATCH', body: '{"rate": 1, "burst": 2}' });
    const hasty = await application(once);
    const answers = await Promise.allSettled(
      Array.from({ length: 3 }, () => hasty.actions.v2.call.make({ method: 'profile' })),
    );
    const rejected = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason] : []));
    expect(rejected).toEqual([expect.objectContaining({ status: 503, code: 'QUERY_LIMIT_EXCEEDED' })]);
    const patient = await application();
    expect((await patient.actions.v2.call.make({ method: 'profile' })).isSuccess).toBe(true);
  });

  it('of the operating limit, which is for one method', async () => {
    const body = '{"operatingLimitSeconds": 10, "operatingCosts": {"crm.item.list": 6}}';
    await b24.send('/_sim/portals/acme', { method: 'PATCH', body });
    const sdk = await application(once);
    for (let call = 0; call < 2; call += 1) await sdk.actions.v2.call.make(list);
    expect(await rejectionOf(sdk.actions.v2.call.make(list))).toEqual([429, 'OPERATION_TIME_LIMIT']);
    expect((await sdk.actions.v2.call.make({ method: 'profile' })).isSuccess).toBe(true);
    expect(sdk.getHttpClient(ApiVersion.v2).getStats().operatingStats).toMatchObject({
      'crm.item.list': 12,
      profile: 0,
    });
  });
});

it('the official SDK calls REST 3.0, and reads its errors', async () => {
  const sdk = await application(once);
  const documentation = await sdk.actions.v3.call.make({ method: 'rest.documentation.openapi' });
  expect(documentation.getData()?.result).toMatchObject({ openapi: '3.0.0' });
  const missing = await sdk.actions.v3.call.make({ method: 'crm.item.list' });
  expect([missing.isSuccess, missing.getErrorMessages()]).toEqual([false, [expect.any(String)]]);
  const calls = [{ method: 'documentation', params: {} }];
  const batch = await sdk.actions.v3.batch.make({ calls });
  expect(batch.getData()).toMatchObject([{ openapi: '3.0.0' }]);
});

describe('the official SDK with an incoming webhook', () => {
  let front: TlsFront;

  beforeEach(async () => {
    front = await TlsFront.start(b24.simulator.url, 'acme');
  });
  afterEach(() => front.close());

  it('calls, reads lists and sends batches over https, and REST 3.0', async () => {
    const hook = webhookOf(front, 'acme');
    expect((await hook.actions.v2.callList.make(orders)).getData()).toHaveLength(items);
    const batch = await hook.actions.v2.batch.make({ calls: { profile: { method: 'profile', params: {} } } });
    expect(batch.getData()).toMatchObject({ profile: { ID: '1' } });
    const documentation = await hook.actions.v3.call.make({ method: 'documentation' });
    expect(documentation.isSuccess).toBe(true);
  });

  it('may not bind events', async () => {
    const bind = webhookOf(front, 'acme', once).actions.v2.call.make({ method: 'event.get' });
    expect(await rejectionOf(bind)).toEqual([403, 'WRONG_AUTH_TYPE']);
  });
});
