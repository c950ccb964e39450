import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { eventually } from '../../../../test/support/eventually.js';
import {
  busAdminsUnderTest,
  type BusAdminUnderTest,
} from '../../../../test/support/bus-admins-under-test.js';
import { anEvent } from '../../../../test/support/an-event.js';
import type { Delivery } from '../contract/event-bus.js';
import { shardOf } from '../contract/shard.js';

jest.setTimeout(60_000);

const names = ['ONCRMCONTACTUPDATE'];
const one = 'a'.repeat(32);
const other = 'b'.repeat(32);
const fast = { rate: 10_000, limit: 1_000, forMs: 20_000 };

describe.each(busAdminsUnderTest)('dead letters on %s', (name, setUp) => {
  let test: BusAdminUnderTest;
  beforeAll(async () => {
    test = await setUp();
  });
  afterEach(() => test.endTest());
  afterAll(() => test.end());

  /** One letter per member id, in this order. */
  const letDie = (consumer: string, memberIds: readonly string[], code = 'ACCESS_DENIED'): Promise<void> =>
    test.letDie(
      consumer,
      async () => {
        for (const [index, memberId] of memberIds.entries()) {
          await test.bus.publish(anEvent({ memberId, entityId: String(index + 1) }));
        }
      },
      memberIds.length,
      { code, message: 'No access' },
    );
  const list = (consumer: string, filter = {}, limit = 100, after?: string) =>
    test.admin.deadLetters.list(consumer, filter, limit, { after });
  const letManyDie = (consumer: string, count: number): Promise<void> =>
    test.letDie(
      consumer,
      async () => {
        for (let sent = 0; sent < count; sent += 100) {
          const some = Array.from({ length: 100 }, () => anEvent({ memberId: one }));
          await Promise.all(some.map((event) => test.bus.publish(event)));
        }
      },
      count,
    );

  it('are listed with the details for an operator, the oldest first, and stay unchanged', async () => {
    const consumer = test.newConsumer();
    const startedAt = Date.now() - 1_000;
    await letDie(consumer, [one, other, one]);
    const first = await list(consumer, {}, 2);
    expect(first).toMatchObject({ matching: 3, complete: true });
    expect(first.letters).toHaveLength(2);
    expect(first.letters[0]).toMatchObject({
      consumer,
      code: 'ACCESS_DENIED',
      message: 'No access',
      attempts: 1,
      memberId: one,
      event: 'ONCRMCONTACTUPDATE',
      entity: 'CRMCONTACT:1',
    });
    expect(first.letters[0]?.lastFailedAt?.getTime()).toBeGreaterThan(startedAt);
    expect(await list(consumer, {}, 2)).toEqual({ ...first, countedAt: expect.any(Date) });
    expect((await test.admin.statusOf(consumer)).dead).toBe(3);
  });

  it('are found by portal, by code, by time and by id', async () => {
    const consumer = test.newConsumer();
    await letDie(consumer, [one, other]);
    await letDie(consumer, [one], 'NOT_FOUND');
    const { letters } = await list(consumer);
    const [first, second, third] = letters;
    const matching = async (filter: object): Promise<number> => (await list(consumer, filter)).matching;
    expect(await matching({ memberId: one })).toBe(2);
    expect(await matching({ code: 'NOT_FOUND' })).toBe(1);
    expect(await matching({ memberId: other, code: 'NOT_FOUND' })).toBe(0);
    expect(await matching({ id: second?.id })).toBe(1);
    const lastAt = third?.lastFailedAt ?? new Date(0);
    expect(await matching({ since: lastAt })).toBeGreaterThanOrEqual(1);
    expect(await matching({ until: new Date((first?.lastFailedAt?.getTime() ?? 0) - 1) })).toBe(0);
    expect(await matching({ since: new Date(lastAt.getTime() + 1) })).toBe(0);
  });

  it('are counted by cause, with their portals and events, the largest first', async () => {
    const consumer = test.newConsumer();
    await letDie(consumer, [one]);
    await letDie(consumer, [other, one, other], 'NOT_FOUND');
    const before = await list(consumer);
    // An answer has a part only where the count takes longer than an operator waits.
    const count = (selection: Parameters<typeof test.admin.deadLetters.groups>[1]) =>
      eventually(async () => {
        const counted = await test.admin.deadLetters.groups(consumer, selection);
        expect(counted.complete).toBe(true);
        return counted;
      });
    const { groups, matching } = await count({});
    expect(matching).toBe(4);
    expect(groups).toMatchObject([
      {
        consumer,
        code: 'NOT_FOUND',
        message: 'No access',
        letters: 3,
        portals: [
          { memberId: other, letters: 2 },
          { memberId: one, letters: 1 },
        ],
        portalCount: 2,
        events: [{ event: 'ONCRMCONTACTUPDATE', letters: 3 }],
      },
      { code: 'ACCESS_DENIED', letters: 1, portals: [{ memberId: one, letters: 1 }] },
    ]);
    const [first, last] = [groups[0]?.firstDiedAt?.getTime() ?? 0, groups[0]?.lastDiedAt?.getTime() ?? 0];
    expect(last).toBeGreaterThanOrEqual(first);
    expect(first).toBeGreaterThanOrEqual(groups[1]?.lastDiedAt?.getTime() ?? Infinity);
    const ofOne = await count({ memberId: one });
    expect(ofOne.groups.map(({ code, letters }) => [code, letters])).toEqual([
      ['ACCESS_DENIED', 1],
      ['NOT_FOUND', 1],
    ]);
    expect(await list(consumer)).toEqual({ ...before, countedAt: expect.any(Date) });
  });

  it('are listed in pages, of which none examines all of many', async () => {
    const consumer = test.newConsumer();
    await letManyDie(consumer, 2_500);
    const { letters: all } = await list(consumer, {}, 3_000);
    expect(all).toHaveLength(2_500);
    const first = await list(consumer, {}, 900);
    expect(first).toMatchObject({ matching: 2_000, complete: false, next: all[899]?.id });
    const second = await list(consumer, {}, 900, first.next);
    expect(second).toMatchObject({ matching: 1_600, complete: true, next: all[1_799]?.id });
    const third = await list(consumer, {}, 900, second.next);
    expect(third).toMatchObject({ matching: 700, complete: true, next: undefined });
    expect([first, second, third].flatMap(({ letters }) => letters)).toEqual(all);
    const last = all.at(-1);
    expect(await test.admin.deadLetters.show(consumer, last?.id ?? '')).toMatchObject({ ...last });
    expect((await list(consumer, { id: last?.id })).letters).toEqual([last]);
    expect((await list(consumer, {}, 900, last?.id)).letters).toEqual([]);
    expect((await test.admin.statusOf(consumer)).dead).toBe(2_500);
  });

  it('show the event as it came, without what looks like a secret', async () => {
    const consumer = test.newConsumer();
    const event = anEvent({ memberId: one, data: { FIELDS: { ID: '82' }, password: 'hunter2hunter2' } });
    await test.letDie(consumer, () => test.bus.publish(event), 1);
    const [letter] = (await list(consumer)).letters;
    const shown = await test.admin.deadLetters.show(consumer, letter?.id ?? '');
    expect(shown).toMatchObject({ ...letter, content: { id: event.id, data: { FIELDS: { ID: '82' } } } });
    expect(JSON.stringify(shown)).not.toContain('hunter2');
    expect(await test.admin.deadLetters.show(consumer, '404')).toBeUndefined();
  });

  it('show a message that cannot be read as text', async () => {
    const consumer = test.newConsumer();
    await test.letDie(consumer, () => test.underTest.inject(consumer, shardOf(one), '{"v":0}'), 1);
    const [letter] = (await list(consumer)).letters;
    expect(letter).toMatchObject({ code: 'UNDECODABLE', memberId: null, event: null });
    expect(await test.admin.deadLetters.show(consumer, letter?.id ?? '')).toMatchObject({
      content: '{"v":0}',
    });
  });

  it('are replayed only to their consumer, with fresh retry metadata', async () => {
    const [consumer, sibling] = [test.newConsumer(), test.newConsumer()];
    const siblings: Delivery[] = [];
    await test.consume({ consumer: sibling, names, receive: (delivery) => void siblings.push(delivery) });
    await letDie(consumer, [one, other, one]);
    await eventually(() => expect(siblings).toHaveLength(3));
    const round = await test.admin.deadLetters.replay(consumer, { memberId: one }, fast);
    expect(round).toEqual({ deadLetters: 2, done: true, complete: true });
    expect(await list(consumer)).toMatchObject({ matching: 1, letters: [{ memberId: other }] });
    const back: Delivery[] = [];
    await test.consume({ consumer, names, receive: (delivery) => void back.push(delivery) });
    await eventually(() => expect(back).toHaveLength(2));
    expect(back.map(({ event }) => event.entityId)).toEqual(['1', '3']);
    expect(back[0]?.receipt).toMatchObject({ attempts: 0, firstFailedAt: undefined });
    expect(siblings).toHaveLength(3);
  });

  it('are replayed in rounds at a limited rate, and those that die again are not taken twice', async () => {
    const consumer = test.newConsumer();
    await letDie(
      consumer,
      Array.from({ length: 5 }, () => one),
    );
    const until = new Date();
    const lives: string[] = [];
    await test.consume({
      consumer,
      names,
      receive: (delivery) => {
        lives.push(delivery.event.id);
        void delivery.receipt.dead({ code: 'AGAIN', message: '' });
      },
    });
    const beganAt = performance.now();
    const options = { rate: 20, limit: 2, forMs: 5_000 };
    const filter = { until, code: 'ACCESS_DENIED' };
    const rounds = [];
    for (let done = false; !done;) {
      const round = await test.admin.deadLetters.replay(consumer, filter, options);
      rounds.push(round.deadLetters);
      ({ done } = round);
    }
    expect(rounds).toEqual([2, 2, 1]);
    expect(performance.now() - beganAt).toBeGreaterThanOrEqual(100);
    await eventually(async () =>
      expect(await list(consumer, { code: 'AGAIN' })).toMatchObject({ matching: 5 }),
    );
    expect(lives).toHaveLength(5);
  });

  it('end a round when its time is over, and report that more is left', async () => {
    const consumer = test.newConsumer();
    await letDie(
      consumer,
      Array.from({ length: 4 }, () => one),
    );
    const round = await test.admin.deadLetters.replay(consumer, {}, { rate: 5, limit: 1_000, forMs: 300 });
    expect(round.done).toBe(false);
    expect(round.deadLetters).toBeLessThan(4);
    const { dead, waiting } = await test.admin.statusOf(consumer);
    expect([dead, waiting]).toEqual([4 - round.deadLetters, round.deadLetters]);
  });

  it('are dropped by filter, and no others', async () => {
    const consumer = test.newConsumer();
    await letDie(consumer, [one, other, one]);
    expect(await test.admin.deadLetters.drop(consumer, { memberId: one }, 1)).toMatchObject({
      deadLetters: 1,
      done: false,
    });
    expect(await test.admin.deadLetters.drop(consumer, { memberId: one }, 10)).toMatchObject({
      deadLetters: 1,
      done: true,
    });
    expect(await list(consumer)).toMatchObject({ matching: 1, letters: [{ memberId: other }] });
  });

  it('are neither duplicated nor lost by two concurrent operators', async () => {
    const consumer = test.newConsumer();
    const count = 60;
    await letDie(
      consumer,
      Array.from({ length: count }, () => one),
    );
    const replay = (limit: number) => test.admin.deadLetters.replay(consumer, {}, { ...fast, limit });
    const [rounds, listed] = await Promise.all([
      Promise.all([replay(25), replay(1_000), replay(1_000)]),
      list(consumer),
    ]);
    expect(rounds.reduce((sum, { deadLetters }) => sum + deadLetters, 0)).toBe(count);
    // In PostgreSQL a list waits for nobody, and finds what is there at its moment.
    const between = Array.from({ length: count + 1 }, (_, left) => left);
    expect(name === 'PostgreSQL' ? between : [count, count - 25, 0]).toContain(listed.matching);
    const back: string[] = [];
    await test.consume({ consumer, names, receive: ({ event }) => void back.push(event.id) });
    await eventually(() => expect(back).toHaveLength(count));
    expect(new Set(back).size).toBe(count);
    expect((await test.admin.statusOf(consumer)).dead).toBe(0);
  });

  it('are all visible to the next scan, except the settled ones', async () => {
    const consumer = test.newConsumer();
    const count = 3_000;
    await letManyDie(consumer, count);
    const all = () => list(consumer, {}, count + 1);
    for (let looks = 0; looks < 4; looks++) {
      expect(await all()).toMatchObject({ matching: count, complete: true, next: undefined });
    }
    expect(await test.admin.deadLetters.drop(consumer, {}, 1_000)).toMatchObject({ deadLetters: 1_000 });
    expect(await all()).toMatchObject({ matching: count - 1_000 });
    const { deadLetters } = await test.admin.deadLetters.replay(consumer, {}, fast);
    expect(await all()).toMatchObject({ matching: count - 1_000 - deadLetters });
    expect((await test.admin.statusOf(consumer)).waiting).toBe(deadLetters);
  });

  it('are listed from the oldest one on after a letter that was never there', async () => {
    const consumer = test.newConsumer();
    await letDie(consumer, [one, other]);
    const { letters } = await list(consumer);
    expect((await list(consumer, {}, 1, 'nothing')).letters).toEqual(letters.slice(0, 1));
    expect((await list(consumer, {}, 1, letters[0]?.id)).letters).toEqual(letters.slice(1));
  });

  it('of an unknown consumer are rejected with its name', async () => {
    await expect(list('nobody')).rejects.toMatchObject({ code: 'NO_SUCH_CONSUMER' });
  });
});
