import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../../../../test/support/eventually.js';
import { TestSimulator } from '../../test/support.js';

let b24: TestSimulator;

beforeAll(async () => {
  b24 = await TestSimulator.start();
});
afterAll(() => b24.close());

const callMany = async (times: number, portal: string): Promise<unknown[]> => {
  const answers: unknown[] = [];
  for (let made = 0; made < times; made += 1) answers.push((await b24.call('profile', {}, portal)).error);
  return answers.filter((error) => Array.isArray(error) && error[0] !== 200);
};

describe('the rate limit', () => {
  it('rejects what is above X with 503 QUERY_LIMIT_EXCEEDED, counts it, and lets Y through a second later', async () => {
    await b24.post('/_sim/portals', { name: 'small', rate: 2, burst: 5 });
    await b24.post('/_sim/portals', { name: 'other', rate: 2, burst: 5 });
    expect(await callMany(7, 'small')).toEqual([
      [503, 'QUERY_LIMIT_EXCEEDED'],
      [503, 'QUERY_LIMIT_EXCEEDED'],
    ]);
    expect(await callMany(1, 'other')).toEqual([]);
    expect(await b24.stats('small')).toMatchObject({ requests: 7, refusals: 2, calls: { profile: 5 } });
    b24.skip(1);
    expect(await callMany(2, 'small')).toEqual([]);
  });

  it('is one for each address that callers have, whatever they call with', async () => {
    await b24.post('/_sim/portals', { name: 'shared', rate: 0, burst: 2 });
    const { accessToken } = await b24.install('shared');
    expect((await b24.call('profile', {}, 'shared')).status).toBe(200);
    expect((await b24.callAs(accessToken, 'profile', {}, 'shared')).status).toBe(200);
    expect((await b24.callAs(accessToken, 'profile', {}, 'shared')).status).toBe(503);
    const elsewhere = () => b24.statusFrom('127.0.0.2', '/portals/shared/rest/1/shared/profile');
    expect([await elsewhere(), await elsewhere(), await elsewhere()]).toEqual([200, 200, 503]);
    expect(await b24.stats('shared')).toMatchObject({
      requests: 6,
      refusals: 2,
      addresses: {
        '127.0.0.1': { requests: 3, refusals: 1 },
        '127.0.0.2': { requests: 3, refusals: 1 },
      },
    });
  });

  it('counts a batch as one request', async () => {
    await b24.post('/_sim/portals', { name: 'batched', rate: 0, burst: 2 });
    const batch = () => b24.call('batch', { cmd: Array.from({ length: 50 }, () => 'profile') }, 'batched');
    expect([(await batch()).status, (await batch()).status, (await batch()).status]).toEqual([200, 200, 503]);
  });

  it('leaves control and the OAuth server alone', async () => {
    await b24.post('/_sim/portals', { name: 'shut', rate: 0, burst: 0 });
    const { refreshToken } = await b24.install('shut');
    expect((await b24.refresh(refreshToken)).status).toBe(200);
    expect((await b24.control('items/3', { fields: {} }, 'shut')).status).toBe(201);
  });
});

const portalWith = (name: string, settings: object) =>
  b24.post('/_sim/portals', { name, rate: 1000, burst: 1000, ...settings });
const list = (portal: string) => b24.call('crm.item.list', { entityTypeId: 3 }, portal);
const list3 = 'crm.item.list?entityTypeId=3';

describe('the operating limit', () => {
  it('blocks the method, and no other, once its baskets hold more, until enough of them are gone', async () => {
    // The example of settings/performance/limits.md: 20 seconds a call, 480 in ten minutes.
    await portalWith('busy', { operatingLimitSeconds: 480, operatingCosts: { 'crm.item.list': 20 } });
    await list('busy');
    const first = await list('busy');
    expect(first.at('time.operating')).toBe(40);
    b24.skip(60);
    for (let call = 0; call < 18; call += 1) await list('busy');
    b24.skip(60);
    for (let call = 0; call < 4; call += 1) await list('busy');
    const last = await list('busy');
    expect(last.at('time.operating')).toBe(500);
    expect(last.at('time.operating_reset_at')).toBe(first.at('time.operating_reset_at'));
    expect((await list('busy')).body).toEqual({
      error: 'OPERATION_TIME_LIMIT',
      error_description: 'Method is blocked due to operation time limit.',
    });
    expect((await list('busy')).status).toBe(429);
    expect((await b24.call('profile', {}, 'busy')).status).toBe(200);
    b24.skip(480);
    expect((await list('busy')).at('time.operating')).toBe(480);
  });

  it('is checked for every command of a batch, which is never billed itself', async () => {
    await portalWith('batched-2', { operatingLimitSeconds: 30, operatingCosts: { 'crm.item.list': 20 } });
    const cmd = { a: list3, b: list3, c: list3, d: 'profile' };
    const answer = await b24.call('batch', { cmd }, 'batched-2');
    expect(answer.at('result.result_time.b.operating')).toBe(40);
    expect(answer.at('result.result_error')).toMatchObject({ c: { error: 'OPERATION_TIME_LIMIT' } });
    expect(answer.at('result.result.d.ID')).toBe('1');
    expect(answer.at('result.result_time.d.operating')).toBe(0);
    expect(answer.at('time.operating')).toBe(0);
    expect((await b24.call('batch', { cmd: { d: 'profile' } }, 'batched-2')).status).toBe(200);
  });

  it('is one for the application and one for each webhook', async () => {
    await portalWith('two', { operatingLimitSeconds: 10, operatingCosts: { 'crm.item.list': 20 } });
    const { accessToken } = await b24.install('two');
    const byApplication = () => b24.callAs(accessToken, 'crm.item.list', { entityTypeId: 3 }, 'two');
    expect([(await list('two')).status, (await list('two')).status]).toEqual([200, 429]);
    expect([(await byApplication()).status, (await byApplication()).status]).toEqual([200, 429]);
  });

  it('is in every response with its reset time, but not at a portal on premise', async () => {
    await portalWith('cloud', {});
    await portalWith('premise', { operatingLimitSeconds: null });
    const [cloud, premise] = [await list('cloud'), await list('premise')];
    expect(cloud.at('time')).toMatchObject({ operating: 0 });
    expect(Number(cloud.at('time.operating_reset_at')) - Number(cloud.at('time.start'))).toBeCloseTo(600, -1);
    expect(premise.at('time')).not.toHaveProperty('operating');
    expect(premise.at('time')).not.toHaveProperty('operating_reset_at');
  });
});

describe('latencyMs', () => {
  it('that is lowered applies to responses that are delayed already', async () => {
    await b24.post('/_sim/portals', { name: 'slow', latencyMs: 60_000 });
    const calls = [1, 2].map(() => b24.call('profile', {}, 'slow'));
    await eventually(async () => expect(await b24.stats('slow')).toMatchObject({ requests: 2 }));
    await b24.send('/_sim/portals/slow', { method: 'PATCH', body: '{"latencyMs": 0}' });
    expect((await Promise.all(calls)).map(({ status }) => status)).toEqual([200, 200]);
  });
});

describe('methodMs', () => {
  it('is the time that each call of the method takes, in a batch, too, and it is billed', async () => {
    await b24.post('/_sim/portals', { name: 'at-work', methodMs: { profile: 40 } });
    const startedMs = performance.now();
    await b24.call('batch', { cmd: ['profile', 'scope', 'profile', 'profile'] }, 'at-work');
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(120);
    const next = await b24.call('profile', {}, 'at-work');
    expect(next.at('time.operating')).toBeGreaterThanOrEqual(0.12);
  });
});
