import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { anEvent } from '../../../../test/support/an-event.js';
import {
  busAdminsUnderTest,
  type BusAdminUnderTest,
} from '../../../../test/support/bus-admins-under-test.js';
import { eventually } from '../../../../test/support/eventually.js';
import type { EventBus } from '../contract/event-bus.js';
import type { BusAdmin } from './bus-admin.js';

jest.setTimeout(120_000);

const minute = 60_000;
const retryDelaysMs = [10 * minute, 60 * minute];
const consumer = 'lister';
const [one, other] = ['1'.repeat(32), '2'.repeat(32)];

describe.each(busAdminsUnderTest)('the list of retries on %s', (_, setUp) => {
  let test: BusAdminUnderTest;
  let bus: EventBus;
  let admin: BusAdmin;

  beforeAll(async () => {
    test = await setUp({ retryDelaysMs });
    ({ bus, admin } = test);
  });
  afterAll(() => test?.end());

  it('has what waits, of which portal and why, the next first, and moves nothing', async () => {
    await bus.consume({
      consumer,
      names: ['ONCRMCONTACTUPDATE'],
      receive: ({ event, receipt }) => {
        const isLater = event.memberId === other;
        const failure = { code: isLater ? 'TIMEOUT' : 'INTERNAL_SERVER_ERROR', message: 'no' };
        void receipt.retry(isLater ? 60 * minute : 10 * minute, failure);
      },
    });
    await bus.publish(anEvent({ memberId: other, entityId: '7' }));
    for (const entityId of ['1', '2']) await bus.publish(anEvent({ memberId: one, entityId }));
    await eventually(async () => expect(await admin.statusOf(consumer)).toMatchObject({ retrying: 3 }));

    const all = await admin.retries(consumer, { limit: 10 });
    expect(all).toMatchObject({ matching: 3, complete: true });
    expect(all.retries.map(({ memberId }) => memberId)).toEqual([one, one, other]);
    const [first, , last] = all.retries;
    expect(first).toMatchObject({
      consumer,
      code: 'INTERNAL_SERVER_ERROR',
      attempts: 1,
      event: 'ONCRMCONTACTUPDATE',
    });
    expect(last).toMatchObject({ code: 'TIMEOUT', entity: 'CRMCONTACT:7' });
    const leftMs = (last?.dueAt?.getTime() ?? 0) - Date.now();
    expect(leftMs).toBeGreaterThan(58 * minute);
    expect(leftMs).toBeLessThanOrEqual(60 * minute);

    expect(await admin.retries(consumer, { memberId: one, limit: 1 })).toMatchObject({
      retries: [{ memberId: one }],
      matching: 2,
    });
    expect(await admin.statusOf(consumer)).toMatchObject({ retrying: 3, inHand: 0, waiting: 0 });
    expect(await admin.retries('nobody', { limit: 1 })).toEqual({ retries: [], matching: 0, complete: true });
  });
});
