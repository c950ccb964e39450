import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { silentLog } from '@relay/platform';
import pg from 'pg';
import { anEvent } from '../../../../test/support/an-event.js';
import { freshDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { eventually } from '../../../../test/support/eventually.js';
import type { EventBus } from '../contract/event-bus.js';
import { openEventBus } from '../open-bus.js';
import { type Publish, PublishGroups } from './publish-groups.js';
import { wakeChannel } from './publisher.js';

jest.setTimeout(60_000);

const publishOf = (name: string, content = '{}'): Publish => ({ name, entityTypeId: 0, shard: 0, content });

describe('groups of publishes', () => {
  it('hold what arrives while a statement is on its way; one alone is stored at once', async () => {
    const groups: string[][] = [];
    const commits: (() => void)[] = [];
    const publishes = new PublishGroups({
      store: (group) => {
        groups.push(group.map(({ name }) => name));
        return new Promise((resolve) => void commits.push(resolve));
      },
      isAboutMember: () => false,
    });
    const first = publishes.add(publishOf('1'));
    await eventually(() => expect(groups).toEqual([['1']]));
    const later = ['2', '3', '4'].map((name) => publishes.add(publishOf(name)));
    later[1]?.abandon();
    commits[0]?.();
    await first.stored;
    await eventually(() => expect(groups).toEqual([['1'], ['2', '4']]));
    commits[1]?.();
    await Promise.all([later[0]?.stored, later[2]?.stored]);
  });

  it('are bounded in number and in size', async () => {
    const sizes: number[] = [];
    const publishes = new PublishGroups({
      store: async (group) => void sizes.push(group.length),
      isAboutMember: () => false,
    });
    await Promise.all(Array.from({ length: 300 }, () => publishes.add(publishOf('small')).stored));
    const large = 'x'.repeat(600 * 1024);
    await Promise.all(['1', '2', '3'].map((name) => publishes.add(publishOf(name, large)).stored));
    expect(sizes).toEqual([256, 44, 1, 1, 1]);
  });

  it('do not wait for a statement that gets no answer', async () => {
    const stored: string[] = [];
    const publishes = new PublishGroups({
      store: ([first]) => {
        stored.push(first?.name ?? '');
        return first?.name === 'hangs' ? new Promise(() => undefined) : Promise.resolve();
      },
      isAboutMember: () => false,
    });
    void publishes.add(publishOf('hangs'));
    await eventually(() => expect(stored).toEqual(['hangs']));
    await publishes.add(publishOf('next')).stored;
  });

  it('fail together when the error is about none of them', async () => {
    const store = jest.fn(() => Promise.reject(new Error('no connection')));
    const publishes = new PublishGroups({ store, isAboutMember: () => false });
    const results = await Promise.allSettled(
      ['1', '2', '3'].map((name) => publishes.add(publishOf(name)).stored),
    );
    expect(results.every(({ status }) => status === 'rejected')).toBe(true);
    expect(store).toHaveBeenCalledTimes(1);
  });
});

/** Real: PostgreSQL. A trigger counts the statements that write messages. */
describe('a PostgreSQL bus under many publishes at once', () => {
  const consumer = 'grouped';
  let database: TestDatabase;
  let client: pg.Client;
  let bus: EventBus;
  let notifications = 0;
  const settled = new Set<string>();

  beforeAll(async () => {
    database = await freshDatabase('libs/bus');
    client = new pg.Client({ connectionString: database.url });
    await client.connect();
    client.on('notification', () => (notifications += 1));
    await client.query(`LISTEN ${pg.escapeIdentifier(wakeChannel(consumer))}`);
    await client.query(`
      CREATE TABLE statements (kind text);
      CREATE FUNCTION count_statement() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO statements VALUES (TG_OP); RETURN NULL; END $$;
      CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON bus.messages
        FOR EACH STATEMENT EXECUTE FUNCTION count_statement()`);
    bus = await openEventBus({ databaseUrl: database.url, log: silentLog, publishDeadlineMs: 20_000 });
    await bus.consume({
      consumer,
      names: ['ONCRMCONTACTUPDATE'],
      receive: ({ event, receipt }) => void receipt.done().then(() => settled.add(event.id)),
    });
  });
  beforeEach(async () => {
    settled.clear();
    await client.query('TRUNCATE statements');
    notifications = 0;
  });
  afterAll(async () => {
    await bus.close();
    await client.end();
    await database.drop();
  });

  it('stores, notifies, fetches and settles in groups', async () => {
    const events = Array.from({ length: 1_000 }, (_, n) => anEvent({ entityId: String(n) }));
    await Promise.all(events.map((event) => bus.publish(event)));
    await eventually(() => expect(settled.size).toBe(1_000));
    const { rows } = await client.query<{ kind: string; count: number }>(
      'SELECT kind, count(*)::int AS count FROM statements GROUP BY kind',
    );
    const count = Object.fromEntries(rows.map((row) => [row.kind, row.count]));
    expect(count['INSERT']).toBeLessThanOrEqual(20);
    expect(count['DELETE']).toBeLessThanOrEqual(40);
    // Fetches that find nothing count, too, such as those of the poll.
    expect(count['UPDATE']).toBeLessThanOrEqual(80);
    expect(notifications).toBeLessThanOrEqual(20);
  });

  it('rejects one that the database does not store, and stores the others of its group', async () => {
    const events = Array.from({ length: 20 }, (_, n) => anEvent({ entityId: String(n) }));
    const bad = anEvent({ name: 'ON\0' });
    const results = await Promise.allSettled(
      [...events.slice(0, 7), bad, ...events.slice(7)].map((event) => bus.publish(event)),
    );
    expect(results.flatMap(({ status }, index) => (status === 'rejected' ? index : []))).toEqual([7]);
    expect(results[7]).toMatchObject({ reason: { code: 'BUS_REFUSED' } });
    expect(bus.isReady()).toBe(true);
    await eventually(() => expect([...settled].toSorted()).toEqual(events.map(({ id }) => id).toSorted()));
  });
});
