import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { encodeMessage, type PortalEvent } from '@relay/events';
import { eventually } from '../../../../test/support/eventually.js';
import {
  busAdminsUnderTest,
  type BusAdminUnderTest,
} from '../../../../test/support/bus-admins-under-test.js';
import { countingProxy, type CountingProxy } from '../../../../test/support/counting-proxy.js';
import { anEvent } from '../../../../test/support/an-event.js';
import type { BusAdmin } from './bus-admin.js';

jest.setTimeout(120_000);

const names = ['ONCRMCONTACTUPDATE'];
const one = 'a'.repeat(32);
const other = 'b'.repeat(32);
const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

describe.each(busAdminsUnderTest)('a replay in pages on %s', (_, setUp) => {
  let test: BusAdminUnderTest;
  let proxy: CountingProxy;
  /** Reaches the bus through the proxy. */
  let admin: BusAdmin;
  beforeAll(async () => {
    test = await setUp();
    proxy = await countingProxy(test.underTest.url);
    admin = test.openAdmin(proxy.url);
  });
  afterEach(() => test.endTest());
  afterAll(async () => {
    await admin?.close();
    await proxy?.close();
    await test?.end();
  });

  /** Entities 1, 2, …: one letter each, in this order; `memberIds` in turns. */
  const letDie = async (
    consumer: string,
    count: number,
    memberIds: readonly string[],
    data: PortalEvent['data'] = {},
  ): Promise<void> => {
    await (await test.consume({ consumer, names, receive: () => undefined })).stop();
    const contents = Array.from({ length: count }, (__, index) => {
      const memberId = memberIds[index % memberIds.length] ?? one;
      return encodeMessage(anEvent({ memberId, entityId: String(index + 1), data })).toString();
    });
    await test.underTest.injectDead(consumer, contents);
    expect((await test.admin.statusOf(consumer)).dead).toBe(count);
  };
  const replayAll = async (
    consumer: string,
    filter: object,
    admins: readonly BusAdmin[] = [admin],
  ): Promise<number[]> => {
    const pages: number[] = [];
    const options = { rate: 10_000, limit: Infinity, forMs: 200 };
    for (let done = false; !done;) {
      const by = admins[pages.length % admins.length] ?? admin;
      const page = await by.deadLetters.replay(consumer, filter, options);
      expect(page.complete).toBe(true);
      pages.push(page.deadLetters);
      ({ done } = page);
    }
    return pages;
  };
  const entitiesOf = async (consumer: string): Promise<(string | null)[]> =>
    (await test.admin.deadLetters.list(consumer, {}, Infinity)).letters.map(({ entity }) => entity);

  it('reads each letter once, however many pages it takes', async () => {
    const consumer = test.newConsumer();
    const count = 1_200;
    await letDie(consumer, count, [one]);
    const before = proxy.count();
    const pages = await replayAll(consumer, {});
    expect(sum(pages)).toBe(count);
    expect(pages.length).toBeGreaterThan(3);
    expect(proxy.count() - before).toBeLessThan(count * 1.05);
    expect(await test.admin.statusOf(consumer)).toMatchObject({ dead: 0, waiting: count });
  });

  it('reads once what does not match, too, and leaves it in its order', async () => {
    const consumer = test.newConsumer();
    const count = 2_400;
    await letDie(consumer, count, [other, one, ...Array.from({ length: 10 }, () => other)]);
    const before = await entitiesOf(consumer);
    const { letters } = await test.admin.deadLetters.list(consumer, { memberId: other }, Infinity);
    const readBefore = proxy.count();
    const pages = await replayAll(consumer, { memberId: one });
    expect(proxy.count() - readBefore).toBeLessThan(count * 1.05);
    expect(sum(pages)).toBe(count - letters.length);
    expect(pages.length).toBeGreaterThan(1);
    const stayed = letters.map(({ entity }) => entity);
    expect(before).toEqual(expect.arrayContaining(stayed));
    expect(await entitiesOf(consumer)).toEqual(stayed);
  });

  it('keeps the order when it ends in the middle, too', async () => {
    const consumer = test.newConsumer();
    await letDie(consumer, 1_500, [other]);
    const before = await entitiesOf(consumer);
    const [, , id = ''] = (await test.admin.deadLetters.list(consumer, {}, 3)).letters.map(
      (letter) => letter.id,
    );
    expect(
      await admin.deadLetters.replay(consumer, { id }, { rate: 1, limit: 1, forMs: 60_000 }),
    ).toMatchObject({
      deadLetters: 1,
    });
    expect(await entitiesOf(consumer)).toEqual(before.toSpliced(2, 1));
  });

  it('replays letters that do not fit in memory together, and reads none more than twice', async () => {
    const consumer = test.newConsumer();
    const count = 150;
    await letDie(consumer, count, [one], { TEXT: 'x'.repeat(250_000) });
    const before = proxy.count();
    expect(sum(await replayAll(consumer, {}))).toBe(count);
    expect(proxy.count() - before).toBeLessThanOrEqual(2 * count);
    expect(await test.admin.statusOf(consumer)).toMatchObject({ dead: 0, waiting: count });
  });

  it('makes way between two pages for another operator, who sees all letters', async () => {
    const consumer = test.newConsumer();
    await letDie(consumer, 30, [one]);
    const slow = { rate: 10, limit: Infinity, forMs: 300 };
    const { deadLetters, done } = await admin.deadLetters.replay(consumer, {}, slow);
    expect(done).toBe(false);
    expect((await admin.statusOf(consumer)).dead).toBe(30 - deadLetters);
    expect(await test.admin.deadLetters.list(consumer, {}, 1)).toMatchObject({ matching: 30 - deadLetters });
    expect(sum(await replayAll(consumer, {}))).toBe(30 - deadLetters);
  });

  it('returns what it holds when the next page does not come', async () => {
    const consumer = test.newConsumer();
    await letDie(consumer, 30, [one]);
    const { deadLetters } = await admin.deadLetters.replay(
      consumer,
      {},
      { rate: 10, limit: Infinity, forMs: 300 },
    );
    await eventually(async () =>
      expect(await test.admin.statusOf(consumer)).toMatchObject({
        dead: 30 - deadLetters,
        waiting: deadLetters,
      }),
    );
  });

  it('goes on at another process, which replays none twice', async () => {
    const consumer = test.newConsumer();
    await letDie(consumer, 1_200, [other, one, other, other, other, other]);
    const [third, half] = [test.openAdmin(test.underTest.url), await entitiesOf(consumer)];
    const matching = await test.admin.deadLetters.list(consumer, { memberId: one }, 0);
    const pages = await replayAll(consumer, { memberId: one }, [admin, third, test.admin]);
    await third.close();
    expect(sum(pages)).toBe(matching.matching);
    const back: (string | null | undefined)[] = [];
    await test.consume({ consumer, names, receive: ({ event }) => void back.push(event.entityId) });
    await eventually(() => expect(back).toHaveLength(matching.matching));
    expect(new Set(back).size).toBe(matching.matching);
    expect(await entitiesOf(consumer)).toHaveLength(half.length - matching.matching);
  });

  it('of two operators at once takes each letter once, and tells each how many were theirs', async () => {
    const consumer = test.newConsumer();
    const count = 300;
    await letDie(consumer, count, [one]);
    const [mine, theirs] = await Promise.all(
      [admin, test.admin].map((by) => replayAll(consumer, { memberId: one }, [by])),
    );
    expect(sum(mine ?? []) + sum(theirs ?? [])).toBe(count);
    const back: (string | null | undefined)[] = [];
    await test.consume({ consumer, names, receive: ({ event }) => void back.push(event.entityId) });
    await eventually(() => expect(back).toHaveLength(count));
    expect(new Set(back).size).toBe(count);
    expect(await test.admin.statusOf(consumer)).toMatchObject({ dead: 0 });
  });

  it('loses none when its process is cut off at any moment, and repeats one at most', async () => {
    const consumer = test.newConsumer();
    const count = 600;
    await letDie(consumer, count, [one]);
    const cuts = 3;
    for (let cut = 0; cut < cuts; cut++) {
      const options = { rate: 200, limit: Infinity, forMs: 20_000 };
      const page = admin.deadLetters.replay(consumer, {}, options);
      let isOver = false;
      const ended = page
        .catch(() => undefined)
        .finally(() => {
          isOver = true;
        });
      const goal = (await test.admin.statusOf(consumer)).waiting + 20;
      // PostgreSQL's pool may reconnect between two letters: then the page ends well.
      await eventually(async () => {
        const { waiting } = await test.admin.statusOf(consumer);
        expect(isOver || waiting > goal).toBe(true);
      });
      proxy.cut();
      await ended;
    }
    await eventually(async () => {
      const { dead, waiting } = await test.admin.statusOf(consumer);
      expect(dead + waiting).toBeGreaterThanOrEqual(count);
    });
    await replayAll(consumer, {});
    const back: (string | null | undefined)[] = [];
    await test.consume({ consumer, names, receive: ({ event }) => void back.push(event.entityId) });
    await eventually(() => expect(new Set(back).size).toBe(count));
    expect(back.length).toBeLessThanOrEqual(count + cuts);
  });
});
