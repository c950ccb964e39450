import { silentLog } from '@relay/platform';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { eventually } from '../../../../test/support/eventually.js';
import { clear, PortalsDatabase } from '../../test/portals-database.js';
import { notify, PostgresListener } from '../database/postgres-listener.js';
import { Subscriptions } from './subscriptions.js';

describe('Subscriptions', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let postgresListener: PostgresListener;
  let subscriptions: Subscriptions;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    postgresListener = new PostgresListener({ databaseUrl: database.url, log: silentLog });
    subscriptions = new Subscriptions(source, postgresListener);
  });
  beforeEach(() => clear(source));
  afterAll(async () => {
    await postgresListener.stop();
    await database.close();
  });

  it('wants what any consumer wants, each event once', async () => {
    await subscriptions.record('b', ['ONCRMCONTACTUPDATE', 'ONCRMCONTACTADD']);
    await subscriptions.record('a', ['ONCRMCONTACTADD', 'ONCRMDYNAMICITEMADD_147', 'ONCRMCONTACTADD']);
    await expect(subscriptions.wanted()).resolves.toEqual([
      'ONCRMCONTACTADD',
      'ONCRMCONTACTUPDATE',
      'ONCRMDYNAMICITEMADD_147',
    ]);
  });

  it('replaces what that consumer wanted before, and nobody else’s wishes', async () => {
    await subscriptions.record('a', ['ONE', 'TWO']);
    await subscriptions.record('b', ['TWO', 'THREE']);
    await subscriptions.record('a', ['FOUR']);
    await expect(subscriptions.wanted()).resolves.toEqual(['FOUR', 'THREE', 'TWO']);
    await subscriptions.record('a', []);
    await expect(subscriptions.wanted()).resolves.toEqual(['THREE', 'TWO']);
  });

  it('are not active from when the consumer is drained until it starts again, which counts as a new wish', async () => {
    await subscriptions.record('a', ['ONE']);
    await subscriptions.record('b', ['TWO']);
    const [first] = await subscriptions.active();
    expect(await subscriptions.drain('a')).toBe(true);
    expect(await subscriptions.drain('a')).toBe(false);
    expect(await subscriptions.active()).toMatchObject([{ consumer: 'b', name: 'TWO' }]);
    expect(await subscriptions.wanted()).toEqual(['ONE', 'TWO']);
    await subscriptions.undrain('a');
    expect(await subscriptions.active()).toContainEqual(first);
    await subscriptions.drain('a');
    await subscriptions.record('a', ['ONE']);
    const [again] = await subscriptions.active();
    expect(again?.since.getTime()).toBeGreaterThan(first?.since.getTime() ?? Infinity);
    await subscriptions.record('a', ['ONE', 'MORE']);
    expect(await subscriptions.active()).toContainEqual(again);
  });

  it('ends in one of the sets when replicas of two versions start at once', async () => {
    const sets = [
      ['ONE', 'TWO'],
      ['THREE', 'TWO'],
    ];
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => subscriptions.record('a', sets[index % 2] ?? [])),
    );
    const wanted = await subscriptions.wanted();
    expect(sets.map((set) => set.toSorted())).toContainEqual(wanted);
  });

  it('shows what each consumer wants', async () => {
    await subscriptions.record('second', ['TWO', 'ONE']);
    await subscriptions.record('first', ['ONE']);
    await expect(subscriptions.byConsumer()).resolves.toEqual(
      new Map([
        ['first', ['ONE']],
        ['second', ['ONE', 'TWO']],
      ]),
    );
  });

  it('tells of a change, and of none where nothing changed', async () => {
    let changes = 0;
    const leave = subscriptions.onChange(() => (changes += 1));
    await eventually(() => expect(postgresListener.isListening()).toBe(true));
    changes = 0;
    await subscriptions.record('a', ['ONE']);
    await subscriptions.record('a', ['ONE']);
    await subscriptions.record('a', ['ONE', 'TWO']);
    await subscriptions.record('a', ['TWO']);
    await announceAndHear();
    expect(changes).toBe(3 + 1);
    leave();
  });

  /** Announcements arrive in order: when ours is heard, all before it were. */
  async function announceAndHear(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const leave = postgresListener.on('subscriptions', (subject) => {
        if (subject !== 'the last') return;
        leave();
        resolve();
      });
      notify(source.manager, 'subscriptions', 'the last').catch(reject);
    });
  }
});
