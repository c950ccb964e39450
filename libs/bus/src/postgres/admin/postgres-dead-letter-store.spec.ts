import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { encodeMessage } from '@relay/events';
import { anEvent } from '../../../../../test/support/an-event.js';
import {
  busAdminsUnderTest,
  type BusAdminUnderTest,
} from '../../../../../test/support/bus-admins-under-test.js';
import { eventually } from '../../../../../test/support/eventually.js';
import { DeadLetters } from '../../admin/dead-letters.js';
import { OperatorLock } from '../../admin/operator-lock.js';
import { PostgresDeadLetterStore } from './postgres-dead-letter-store.js';

jest.setTimeout(60_000);

const [one, other] = ['a'.repeat(32), 'b'.repeat(32)];
const count = 2_500;
const idsOf = (letters: readonly { id: string }[]): string => letters.map(({ id }) => id).join();
const fast = { rate: 1_000, limit: 1_000, forMs: 20_000 };

describe('many dead letters in PostgreSQL', () => {
  let test: BusAdminUnderTest;
  let store: PostgresDeadLetterStore;
  let scans: jest.SpiedFunction<PostgresDeadLetterStore['scan']>;
  let reads: jest.SpiedFunction<PostgresDeadLetterStore['read']>;
  let letters: DeadLetters;
  let consumer: string;

  beforeAll(async () => {
    const setUp = busAdminsUnderTest.find(([name]) => name === 'PostgreSQL')?.[1];
    if (!setUp) throw new Error('there is no PostgreSQL');
    test = await setUp();
  });
  beforeEach(async () => {
    consumer = test.newConsumer();
    await die(count);
    store = new PostgresDeadLetterStore(test.database);
    scans = jest.spyOn(store, 'scan');
    reads = jest.spyOn(store, 'read');
    letters = open();
    await letters.groups(consumer, {});
  });
  afterEach(async () => {
    await letters.close();
    await test.endTest();
  });
  afterAll(() => test.end());

  const open = (): DeadLetters =>
    new DeadLetters(store, new OperatorLock(test.underTest.url), {
      fewLetters: 500,
      keptMs: 0,
      comparedMs: 0,
      waitMs: 60_000,
    });
  const die = (some: number): Promise<void> =>
    test.underTest.injectDead(
      consumer,
      Array.from({ length: some }, (_, n) =>
        encodeMessage(anEvent({ memberId: n % 2 === 0 ? one : other })).toString(),
      ),
    );
  /** As another process finds them, each page by its key. */
  const there = async () => (await test.admin.deadLetters.list(consumer, {}, Infinity)).letters;
  const listed = async () => {
    const all = [];
    for (let after: string | undefined; ;) {
      const page = await letters.list(consumer, {}, 1_000, { after });
      all.push(...page.letters);
      if (page.next === undefined) return all;
      after = page.next;
    }
  };

  it('are listed and counted without reading them again, also those that died or were replayed since', async () => {
    expect(await listed()).toEqual(await there());
    await die(10);
    const left = await there();
    expect(idsOf(await listed())).toBe(idsOf(left));
    expect(await letters.drop(consumer, { id: left[5]?.id ?? '' }, 10)).toMatchObject({ deadLetters: 1 });
    expect(await letters.replay(consumer, { id: left[7]?.id ?? '' }, fast)).toMatchObject({ deadLetters: 1 });
    expect(idsOf(await listed())).toBe(idsOf(left.filter((_, at) => at !== 5 && at !== 7)));
    expect(await letters.groups(consumer, { memberId: one })).toMatchObject({
      matching: (count + 10) / 2,
      complete: true,
    });
    const since = left.at(-1)?.lastFailedAt ?? undefined;
    expect(await letters.list(consumer, { since }, 100)).toMatchObject({ matching: 10, complete: true });
    expect(scans).toHaveBeenCalledTimes(2);
    expect(reads).not.toHaveBeenCalled();
  });

  it('are gone when another process has taken them, and its letters can be shown, replayed and dropped here', async () => {
    const all = await listed();
    await test.admin.deadLetters.replay(consumer, { memberId: one }, { ...fast, limit: 100 });
    await test.admin.deadLetters.drop(consumer, { memberId: other }, 100);
    const left = await there();
    expect(left).toHaveLength(count - 200);
    await eventually(async () => expect(idsOf(await listed())).toBe(idsOf(left)));
    const gone = all[0]?.id ?? '';
    expect(await letters.show(consumer, gone)).toBeUndefined();
    expect(await letters.replay(consumer, { id: gone }, fast)).toMatchObject({ deadLetters: 0, done: true });
    await die(1);
    const newest = (await there()).at(-1)?.id ?? '';
    expect(await letters.show(consumer, newest)).toMatchObject({ id: newest, content: { memberId: one } });
  });

  it('are found where they belong when their transaction is committed after those of later ones', async () => {
    await listed();
    const late = await test.database.connect();
    try {
      await late.query('BEGIN');
      await late.query(
        `INSERT INTO bus.dead_letters (consumer, shard, code, message, attempts, first_failed_at, last_failed_at, content)
         VALUES ($1, 0, 'LATE', 'No', 1, now(), now(), '{}')`,
        [consumer],
      );
      await die(20);
      expect(await listed()).toHaveLength(count + 20);
      await late.query('COMMIT');
    } finally {
      late.release(true);
    }
    const all = await listed();
    expect(idsOf(all)).toBe(idsOf(await there()));
    expect(all.at(-21)).toMatchObject({ code: 'LATE' });
    expect((await letters.groups(consumer, { code: 'LATE' })).matching).toBe(1);
  });

  it('are the same to two operators who replay at once, and to a process that starts anew', async () => {
    const second = open();
    await second.groups(consumer, {});
    const pages = await Promise.all(
      [letters, second].map((by) => by.replay(consumer, { memberId: one }, { ...fast, limit: 200 })),
    );
    expect(pages.map(({ deadLetters }) => deadLetters)).toEqual([200, 200]);
    const left = await there();
    expect(left).toHaveLength(count - 400);
    await eventually(async () => expect(idsOf(await listed())).toBe(idsOf(left)));
    await eventually(async () =>
      expect(idsOf((await second.list(consumer, {}, count)).letters)).toBe(idsOf(left)),
    );
    await second.close();
    await letters.close();
    letters = open();
    expect(await letters.groups(consumer, {})).toMatchObject({ matching: count - 400 });
    expect(idsOf(await listed())).toBe(idsOf(left));
    expect((await test.admin.statusOf(consumer)).waiting).toBe(400);
  });
});

describe('the consumers that PostgreSQL knows', () => {
  it('are those with subscriptions, events, dead letters or processes, each once', async () => {
    const setUp = busAdminsUnderTest.find(([name]) => name === 'PostgreSQL')?.[1];
    const test = await setUp?.();
    if (!test) throw new Error('there is no PostgreSQL');
    try {
      expect(await test.admin.knownConsumers()).toEqual([]);
      const content = encodeMessage(anEvent()).toString();
      await test.underTest.injectDead('a-dead', [content, content]);
      await test.underTest.injectDead('c-both', [content]);
      await test.underTest.inject('b-waiting', 0, content);
      await test.underTest.inject('c-both', 3, content);
      expect((await test.admin.knownConsumers()).toSorted()).toEqual(['a-dead', 'b-waiting', 'c-both']);
    } finally {
      await test.end();
    }
  });
});
