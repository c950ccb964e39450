import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { eventually } from '../../../../test/support/eventually.js';
import {
  busAdminsUnderTest,
  type BusAdminUnderTest,
} from '../../../../test/support/bus-admins-under-test.js';
import { anEvent } from '../../../../test/support/an-event.js';
import type { Delivery, EventBus } from '../contract/event-bus.js';
import type { BusAdmin } from './bus-admin.js';

jest.setTimeout(120_000);

const minute = 60_000;
const hour = 60 * minute;
const retryDelaysMs = [10 * minute, hour];
const consumer = 'waker';
const names = ['ONCRMCONTACTUPDATE'];
const one = '1'.repeat(32);
const other = '2'.repeat(32);

describe.each(busAdminsUnderTest)('waking the retries of a portal on %s', (_, setUp) => {
  let test: BusAdminUnderTest;
  let bus: EventBus;
  let admin: BusAdmin;
  const seen: Delivery[] = [];

  beforeAll(async () => {
    test = await setUp({ retryDelaysMs });
    ({ bus, admin } = test);
    await bus.consume({ consumer, names, receive: (delivery) => void seen.push(delivery) });
  });
  afterAll(() => test?.end());

  async function publish(memberId: string, entityId: string, data: object = {}): Promise<void> {
    await bus.publish(anEvent({ memberId, entityId, data: { ...data } }));
  }
  async function delivered(count: number): Promise<Delivery[]> {
    await eventually(() => expect(seen).toHaveLength(count));
    return seen.splice(0);
  }
  const retrying = (count: number) =>
    eventually(async () => expect(await admin.statusOf(consumer)).toMatchObject({ retrying: count }));

  it('makes them due now and keeps their attempts; those of other portals wait on, and nothing is delivered twice', async () => {
    const failure = { code: 'PORTAL_SUSPENDED', message: 'it takes no calls' };
    await publish(one, '1');
    // Invalid text for PostgreSQL's JSON functions, in the same shard or another one: it must not affect other rows.
    await publish(other, '2', { odd: '\ud800 \u0000' });
    await publish(one, '3');
    for (const delivery of await delivered(3)) {
      const inAnHour = delivery.event.entityId === '3';
      await delivery.receipt.retry(inAnHour ? hour : minute, failure, { countsAsAttempt: inAnHour });
    }
    await retrying(3);

    expect(await admin.wake(consumer, new Set([one]))).toBe(2);
    const woken = (await delivered(2)).toSorted((a, b) => a.receipt.attempts - b.receipt.attempts);
    expect(
      woken.map(({ event, receipt }) => [event.entityId, receipt.attempts, receipt.deliveryCount]),
    ).toEqual([
      ['1', 0, 0],
      ['3', 1, 0],
    ]);
    for (const { receipt } of woken) expect(receipt.firstFailedAt).toBeGreaterThan(Date.now() - minute);
    await Promise.all(woken.map((delivery) => delivery.receipt.done()));
    await retrying(1);
    expect(await admin.wake(consumer, new Set([one]))).toBe(0);
    expect(await admin.wake('nobody', new Set([one]))).toBe(0);

    expect(await admin.wake(consumer, new Set([one, other]))).toBe(1);
    const [last] = await delivered(1);
    expect([last?.event.entityId, last?.event.data, last?.receipt.deliveryCount]).toEqual([
      '2',
      { odd: '\ud800 \u0000' },
      0,
    ]);
    await last?.receipt.done();
    await retrying(0);
  });

  it('wakes all of several thousand, beside as many of another portal', async () => {
    const each = 1_200;
    const failure = { code: 'PORTAL_SUSPENDED', message: 'it takes no calls' };
    for (let sent = 0; sent < each; sent += 100) {
      const ids = Array.from({ length: 100 }, (__, more) => String(sent + more));
      await Promise.all(ids.flatMap((id) => [publish(one, id), publish(other, id)]));
      await Promise.all((await delivered(200)).map((delivery) => delivery.receipt.retry(minute, failure)));
    }
    await retrying(2 * each);
    expect(await admin.wake(consumer, new Set([one]))).toBe(each);
    const woken = await delivered(each);
    expect(woken.every(({ event }) => event.memberId === one)).toBe(true);
    expect(new Set(woken.map(({ event }) => event.entityId)).size).toBe(each);
    await Promise.all(woken.map((delivery) => delivery.receipt.done()));
    await retrying(each);
  });
});
