import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestSimulator } from '../../test/support.js';

let b24: TestSimulator;

beforeAll(async () => {
  b24 = await TestSimulator.start();
});
afterAll(() => b24.close());

const call = (method: string, body: object = {}) => b24.post(`/portals/demo/rest/api/1/demo/${method}`, body);

describe('REST 3.0', () => {
  it('shows what there is, to webhooks and to the application', async () => {
    const { accessToken } = await b24.install();
    const byApplication = await b24.post('/portals/demo/rest//api/documentation', { auth: accessToken });
    for (const answer of [await call('rest.documentation.openapi'), byApplication]) {
      expect(answer.at('result.openapi')).toBe('3.0.0');
      expect(answer.at('time.duration')).toEqual(expect.any(Number));
    }
  });

  it('has an error of another shape, and no methods of the CRM', async () => {
    expect(await call('crm.item.list', { entityTypeId: 3 })).toMatchObject({
      status: 404,
      body: {
        error: { code: 'BITRIX_REST_V3_EXCEPTION_METHODNOTFOUNDEXCEPTION', message: expect.any(String) },
      },
    });
    expect((await b24.call('documentation')).error).toEqual([404, 'ERROR_METHOD_NOT_FOUND']);
  });

  it('takes a batch that is a list, all or nothing', async () => {
    const documentation = { method: 'documentation', query: {} };
    expect((await call('batch', [documentation, documentation])).at('result')).toHaveLength(2);
    expect((await call('batch', [documentation, { method: 'no.such' }])).status).toBe(404);
  });

  it('asks for the same authorization, and counts in the same bucket', async () => {
    await b24.post('/_sim/portals', { name: 'small', rate: 0, burst: 1 });
    const path = '/portals/small/rest/api/1/small/documentation';
    expect((await b24.send('/portals/demo/rest/api/1/wrong/documentation')).status).toBe(401);
    expect([(await b24.send(path)).status, (await b24.call('profile', {}, 'small')).status]).toEqual([
      200, 503,
    ]);
  });
});
