import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestSimulator } from '../test/support.js';

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
  it('refuses what is above X with 503 QUERY_LIMIT_EXCEEDED, counts it, and lets Y through a second later', async () => {
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

describe('the operating limit', () => {
  it('blocks the method, and no other, until its oldest minute is ten minutes old', async () => {
    await b24.post('/_sim/portals', {
      name: 'busy',
      operatingLimitSeconds: 480,
      operatingCosts: { 'crm.item.list': 250 },
      rate: 100,
      burst: 100,
    });
    const list = () => b24.call('crm.item.list', { entityTypeId: 3 }, 'busy');
    expect((await list()).at('time.operating')).toBe(250);
    const second = await list();
    expect(second.at('time.operating')).toBe(500);
    expect((await list()).error).toEqual([429, 'OPERATION_TIME_LIMIT']);
    expect((await b24.call('profile', {}, 'busy')).status).toBe(200);
    const inBatch = await b24.call(
      'batch',
      { cmd: { a: 'crm.item.list?entityTypeId=3', b: 'profile' } },
      'busy',
    );
    expect(inBatch.at('result.result_error.a.error')).toBe('OPERATION_TIME_LIMIT');
    expect(inBatch.at('result.result.b.ID')).toBe('1');
    b24.skip(600);
    expect((await list()).status).toBe(200);
  });
});
