import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { deferred, silentLog } from '@relay/platform';
import { anEvent } from '../../../../../test/support/an-event.js';
import { hasBroker } from '../../../../../test/support/broker.js';
import {
  busAdminsUnderTest,
  type BusAdminUnderTest,
} from '../../../../../test/support/bus-admins-under-test.js';
import { eventually } from '../../../../../test/support/eventually.js';
import { DeadLetters } from '../../admin/dead-letters.js';
import { OperatorLock } from '../../admin/operator-lock.js';
import { RabbitDeadLetterStore } from './rabbit-dead-letter-store.js';

jest.setTimeout(60_000);

const [one, other] = ['a'.repeat(32), 'b'.repeat(32)];
/** Three windows of a scan. */
const count = 2_500;

(hasBroker ? describe : describe.skip)('many dead letters on RabbitMQ', () => {
  let test: BusAdminUnderTest;
  let store: RabbitDeadLetterStore;
  let scan: RabbitDeadLetterStore['scan'];
  let scans: jest.SpiedFunction<RabbitDeadLetterStore['scan']>;
  let letters: DeadLetters;
  let consumer: string;

  beforeAll(async () => {
    const setUp = busAdminsUnderTest.find(([name]) => name === 'RabbitMQ')?.[1];
    if (!setUp) throw new Error('there is no RabbitMQ');
    test = await setUp();
  });
  afterEach(async () => {
    await letters.close();
    await test.endTest();
  });
  afterAll(() => test.end());

  async function letDie(waitMs: number, fewLetters = 500): Promise<void> {
    consumer = test.newConsumer();
    await test.letDie(
      consumer,
      async () => {
        for (let sent = 0; sent < count; sent += 100) {
          const some = Array.from({ length: 100 }, (_, n) =>
            anEvent({ memberId: n % 2 === 0 ? one : other }),
          );
          await Promise.all(some.map((event) => test.bus.publish(event)));
        }
      },
      count,
    );
    store = new RabbitDeadLetterStore(test.underTest.url, silentLog);
    scan = store.scan.bind(store);
    scans = jest.spyOn(store, 'scan');
    const lock = new OperatorLock(String(test.database.options.connectionString));
    letters = new DeadLetters(store, lock, { fewLetters, keptMs: 60_000, waitMs });
  }

  it('are listed, shown and counted by one scan, also what a drop and a replay leave, and stay in order', async () => {
    await letDie(60_000);
    const all = (await test.admin.deadLetters.list(consumer, {}, count)).letters;
    expect(await letters.groups(consumer, {})).toMatchObject({ matching: count, complete: true });
    const first = await letters.list(consumer, {}, 1_000);
    expect(first).toMatchObject({ matching: count, complete: true, countedAt: expect.any(Date) });
    const second = await letters.list(consumer, {}, 1_000, { after: first.next });
    const third = await letters.list(consumer, {}, 1_000, { after: second.next });
    expect([first, second, third].flatMap((page) => page.letters)).toEqual(all);
    expect(third.next).toBeUndefined();
    const [oldest, last] = [all[0], all.at(-1)];
    expect(await letters.show(consumer, last?.id ?? '')).toEqual(
      await test.admin.deadLetters.show(consumer, last?.id ?? ''),
    );
    expect(await letters.drop(consumer, { id: oldest?.id ?? '' }, 10)).toMatchObject({ deadLetters: 1 });
    const replayed = await letters.replay(
      consumer,
      { id: last?.id ?? '' },
      { rate: 1_000, limit: 1, forMs: 20_000 },
    );
    expect(replayed.deadLetters).toBe(1);
    const left = all.slice(1, -1);
    expect((await letters.list(consumer, {}, count)).letters).toEqual(left);
    const ofOne = left.filter(({ memberId }) => memberId === one).length;
    expect((await letters.groups(consumer, { memberId: one })).matching).toBe(ofOne);
    const since = left.at(-3)?.lastFailedAt ?? new Date();
    const late = left.filter(({ lastFailedAt }) => (lastFailedAt ?? 0) >= since).length;
    expect((await letters.groups(consumer, { since })).matching).toBe(late);
    expect(scans).toHaveBeenCalledTimes(1);
    expect((await test.admin.deadLetters.list(consumer, {}, count)).letters).toEqual(left);
  });

  it('can be replayed while they are scanned: the scan makes way', async () => {
    await letDie(1);
    // As slow as a scan may be.
    let rested = 0;
    scans.mockImplementation((name, see, rest) =>
      scan(name, see, async () => {
        rested += 1;
        for (;;) if ((await rest?.()) === false) return false;
      }),
    );
    expect(await letters.list(consumer, { memberId: one }, 2)).toMatchObject({ countedAt: null });
    await eventually(() => expect(rested).toBe(1));
    // Those that the scan holds are there nevertheless.
    expect(letters.unacknowledged(consumer)).toBe(1_000);
    const [first] = (await letters.list(consumer, {}, 1)).letters;
    const dropped = await test.admin.deadLetters.drop(consumer, { id: first?.id ?? '' }, 1);
    expect(dropped).toMatchObject({ deadLetters: 1, complete: true });
    expect(letters.unacknowledged(consumer)).toBe(0);
    expect((await test.admin.statusOf(consumer)).dead).toBe(count - 1);
  });

  it('are not few because a scan holds most of them: a list has what it has found', async () => {
    await letDie(1, 1_800);
    const gate = deferred<void>();
    let rested = 0;
    scans.mockImplementation((name, see) =>
      scan(name, see, async () => {
        rested += 1;
        await gate.promise;
        return true;
      }),
    );
    expect(await letters.groups(consumer, {})).toMatchObject({ countedAt: null });
    await eventually(() => expect(rested).toBe(1));
    expect(await letters.list(consumer, { memberId: one }, 1_000)).toMatchObject({
      matching: 500,
      complete: false,
      countedAt: null,
    });
    gate.resolve();
    await eventually(async () =>
      expect(await letters.list(consumer, { memberId: one }, 1_000)).toMatchObject({
        matching: count / 2,
        complete: true,
        countedAt: expect.any(Date),
      }),
    );
    expect(scans).toHaveBeenCalledTimes(1);
  });

  it('are read again for a list as of a later time, and for an id that nobody has only if one has died since', async () => {
    await letDie(60_000);
    const { countedAt } = await letters.groups(consumer, {});
    const began = countedAt?.getTime() ?? NaN;
    await letters.list(consumer, {}, 1, { asOf: new Date(began) });
    expect(scans).toHaveBeenCalledTimes(1);
    const asOf = new Date(began + 1);
    const later = await eventually(async () => {
      const list = await letters.list(consumer, {}, 1, { asOf });
      expect(list.countedAt?.getTime()).toBeGreaterThanOrEqual(asOf.getTime());
      return list;
    });
    expect(scans).toHaveBeenCalledTimes(2);
    const reads = jest.spyOn(store, 'read');
    expect(await letters.show(consumer, 'nobody')).toBeUndefined();
    const [first] = later.letters;
    await letters.drop(consumer, { id: first?.id ?? '' }, 1);
    expect(await letters.show(consumer, first?.id ?? '')).toBeUndefined();
    expect(reads).not.toHaveBeenCalled();
    await test.letDie(consumer, () => test.bus.publish(anEvent({ memberId: one })), 1);
    expect(await letters.show(consumer, 'nobody')).toBeUndefined();
    expect(reads).toHaveBeenCalledTimes(1);
    const newest = (await test.admin.deadLetters.list(consumer, {}, count)).letters.at(-1)?.id ?? '';
    expect(await letters.show(consumer, newest)).toMatchObject({ id: newest });
  });
});
