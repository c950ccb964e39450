import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../../../../test/support/eventually.js';
import { TestHandler, TestSimulator } from '../../test/support.js';

let b24: TestSimulator;

beforeEach(async () => {
  b24 = await TestSimulator.start();
});
afterEach(() => b24.close());

const suspend = (reason: string | null) => b24.control('suspend', { reason });

describe('a suspended portal', () => {
  it.each([
    ['overload', [401, 'OVERLOAD_LIMIT'], [200, undefined]],
    ['denied', [401, 'ACCESS_DENIED'], [200, undefined]],
    ['deleted', [403, 'PORTAL_DELETED'], [401, 'invalid_client']],
    ['payment', [402, 'PAYMENT_REQUIRED'], [402, 'PAYMENT_REQUIRED']],
  ])('for %s rejects every call until it is lifted', async (reason, rejected, renewed) => {
    const { accessToken, refreshToken } = await b24.install();
    expect((await suspend(reason)).at('suspended')).toBe(reason);
    const calls = () => [
      b24.callAs(accessToken, 'profile'),
      b24.call('batch', { cmd: ['profile'] }),
      b24.callAs('junk', 'no.such'),
    ];
    for (const answer of await Promise.all(calls())) expect(answer.error).toEqual(rejected);
    expect((await b24.refresh(refreshToken)).error).toEqual(renewed);
    expect((await suspend(null)).at('suspended')).toBeNull();
    expect((await b24.call('profile')).status).toBe(200);
    const { refreshToken: fresh } = await b24.install();
    expect((await b24.refresh(fresh)).status).toBe(200);
  });

  it('for its plan has different texts for applications and webhooks', async () => {
    const { accessToken } = await b24.install();
    await suspend('denied');
    const answers = [await b24.callAs(accessToken, 'profile'), await b24.call('profile')];
    expect(answers.map((answer) => answer.at('error_description'))).toEqual([
      'REST is available only on commercial plans',
      'REST is available only by subscription',
    ]);
  });

  it('keeps the tokens that it did not refresh, and the OAuth server says why', async () => {
    const { accessToken, refreshToken } = await b24.install();
    await suspend('payment');
    await b24.refresh(refreshToken);
    const trusted = await b24.send(`/rest/app.info?auth=${accessToken}`);
    expect(trusted.at('result.PAYMENT_EXPIRED')).toBe('Y');
    await suspend(null);
    expect((await b24.refresh(refreshToken)).status).toBe(200);
  });

  it('still sends events, unless it is deleted', async () => {
    const handler = await TestHandler.start();
    const { accessToken } = await b24.install();
    await b24.callAs(accessToken, 'event.bind', { event: 'ONCRMCONTACTADD', handler: handler.url });
    await suspend('deleted');
    await b24.control('items/3', { fields: { name: 'nobody hears' } });
    await eventually(async () => expect(await b24.stats()).toMatchObject({ events: { pending: 0 } }));
    await suspend('overload');
    await b24.control('items/3', { fields: { name: 'heard' } });
    await eventually(() => expect(handler.forms).toHaveLength(1));
    expect(handler.forms[0]?.get('data[FIELDS][ID]')).toBe('5');
    await handler.close();
  });

  it('is not suspended for a reason that there is not', async () => {
    expect((await suspend('boredom')).status).toBe(400);
  });
});
