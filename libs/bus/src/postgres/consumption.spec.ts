import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { encodeMessage } from '@relay/events';
import { silentLog } from '@relay/platform';
import pg from 'pg';
import { anEvent } from '../../../../test/support/an-event.js';
import { freshDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { eventually } from '../../../../test/support/eventually.js';
import type { EventBus, Receipt } from '../contract/event-bus.js';
import { shardOf } from '../contract/shard.js';
import { openEventBus } from '../open-bus.js';

jest.setTimeout(60_000);

const consumer = 'taker';
/** Far below the time after which a shard is read from its oldest row once more. */
const soon = { timeoutMs: 4_000 };
/** As versions before the groups publish. */
const INSERT_SQL = 'INSERT INTO bus.messages (consumer, shard, content) VALUES ($1, $2, $3)';

/** Real: PostgreSQL. */
describe('fetches of the PostgreSQL bus', () => {
  let database: TestDatabase;
  let bus: EventBus;
  const clients: pg.Client[] = [];
  const settled: string[] = [];
  /** Deliveries of one turn of the event loop, which are those of one fetch. */
  const perTurn: number[] = [];
  let inTurn = 0;
  let settle: (receipt: Receipt) => Promise<void>;
  const endTurn = (): void => {
    perTurn.push(inTurn);
    inTurn = 0;
  };

  beforeEach(async () => {
    settled.length = 0;
    perTurn.length = 0;
    settle = (receipt) => receipt.done();
    database = await freshDatabase('libs/bus');
    await open();
  });
  afterEach(async () => {
    await bus.close();
    for (const client of clients.splice(0)) await client.end();
    await database.drop();
  });

  async function open(): Promise<void> {
    bus = await openEventBus({
      databaseUrl: database.url,
      log: silentLog,
      publishDeadlineMs: 5_000,
      pollMs: 50,
    });
    await bus.consume({
      consumer,
      names: ['ONCRMCONTACTUPDATE'],
      receive: ({ event, receipt }) => {
        if (inTurn++ === 0) setImmediate(endTurn);
        void settle(receipt).then(() => settled.push(event.id));
      },
    });
  }

  async function connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    clients.push(client);
    return client;
  }

  async function publishAndSettle(count: number): Promise<void> {
    const before = settled.length;
    await Promise.all(Array.from({ length: count }, () => bus.publish(anEvent())));
    await eventually(() => expect(settled).toHaveLength(before + count));
  }

  it('find an event that is committed after later ones were taken', async () => {
    const slow = await connect();
    const late = anEvent();
    await slow.query('BEGIN');
    await slow.query(INSERT_SQL, [consumer, shardOf(late.memberId), encodeMessage(late).toString()]);
    for (let round = 0; round < 5; round += 1) await publishAndSettle(1);
    await slow.query('COMMIT');
    await eventually(() => expect(settled).toContain(late.id), soon);
  });

  it('take large messages a few at a time, of all shards, each once', async () => {
    await publishAndSettle(1);
    const inserting = await connect();
    const events = Array.from({ length: 200 }, (_, index) =>
      anEvent({ memberId: `m${index % 7}`, data: { TEXT: 'x'.repeat(index % 4 === 0 ? 10 : 250_000) } }),
    );
    await inserting.query('BEGIN');
    for (const event of events)
      await inserting.query(INSERT_SQL, [consumer, shardOf(event.memberId), encodeMessage(event).toString()]);
    await inserting.query('COMMIT');
    await eventually(() => expect(settled).toHaveLength(201));
    expect(new Set(settled).size).toBe(201);
    // Of each shard one megabyte, and what is small between them.
    expect(Math.max(...perTurn)).toBeLessThanOrEqual(7 * 8);
  });

  it('find an event of which nobody notified them', async () => {
    await publishAndSettle(1);
    const event = anEvent();
    const killed = await connect();
    await killed.query(INSERT_SQL, [consumer, shardOf(event.memberId), encodeMessage(event).toString()]);
    await eventually(() => expect(settled).toContain(event.id), soon);
  });

  it('read nothing again of what was taken, however long another transaction may see it', async () => {
    const reader = await connect();
    await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM bus.messages');
    for (let round = 0; round < 20; round += 1) await publishAndSettle(100);
    const observer = await connect();
    const readOf = async (): Promise<{ scans: number; entries: number }> => {
      const { rows } = await observer.query<{ scans: number; entries: number }>(
        `SELECT idx_scan::int AS scans, idx_tup_read::int AS entries FROM pg_stat_user_indexes
         WHERE indexrelname = 'messages_due'`,
      );
      return rows[0] ?? { scans: 0, entries: 0 };
    };
    // Statistics arrive a second late: those of the last batch have come when only polls are left. Cursors wait up to a
    // minute for a transaction that has written, also for one of another database of this server.
    const pollsReadNothing = async (): Promise<void> => {
      let before = await readOf();
      const perScan: number[] = [];
      await eventually(
        async () => {
          const now = await readOf();
          if (now.scans - before.scans < 160)
            throw new Error(`too few fetches to tell, after ${perScan.join()}`);
          perScan.push((now.entries - before.entries) / (now.scans - before.scans));
          before = now;
          expect(perScan.at(-1)).toBeLessThan(5);
        },
        { timeoutMs: 150_000, everyMs: 200 },
      );
    };
    await pollsReadNothing();
    // A new owner of the shards, for which nothing comes.
    await bus.close();
    await open();
    await pollsReadNothing();
  }, 330_000);

  const failure = { code: 'X', message: 'failed' };
  it.each<[string, (receipt: Receipt) => Promise<void>]>([
    ['done', (receipt) => receipt.done()],
    ['retried', (receipt) => receipt.retry(60_000, failure)],
    ['dead', (receipt) => receipt.dead(failure)],
  ])('find the rows of what is %s by id, though the table was empty when it was analyzed', async (_, how) => {
    settle = how;
    await bus.close();
    const observer = await connect();
    await observer.query('VACUUM ANALYZE bus.messages');
    // A session keeps the plans of its first statements.
    await open();
    for (let round = 0; round < 20; round += 1) await publishAndSettle(1);
    // Once to take each and once to settle it; statistics arrive a second late.
    await eventually(async () => {
      const { rows } = await observer.query(
        `SELECT idx_scan::int AS scans FROM pg_stat_user_indexes WHERE indexrelname = 'messages_pkey'`,
      );
      expect(rows).toEqual([{ scans: 40 }]);
    });
  });
});
