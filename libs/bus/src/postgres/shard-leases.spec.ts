import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { silentLog } from '@relay/platform';
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { freshDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { eventually } from '../../../../test/support/eventually.js';
import { shards } from '../contract/shard.js';
import { ShardLeases } from './shard-leases.js';

const CONSUMER = 'formatter';
/** How versions before the leases lock a shard. */
const LOCK_SQL = `SELECT pg_try_advisory_lock(hashtextextended('b24.bus.${CONSUMER}.' || shard, 0)) FROM unnest($1::int[]) AS shard`;

/** Real: PostgreSQL, with one session per process. */
describe('shard leases', () => {
  let database: TestDatabase;
  let admin: pg.Client;
  const clients = new Set<pg.Client>();

  beforeAll(async () => {
    database = await freshDatabase('libs/bus');
    admin = new pg.Client({ connectionString: database.url });
    await admin.connect();
  });
  afterEach(async () => {
    for (const client of clients) await client.end().catch(() => undefined);
    clients.clear();
    await admin.query('TRUNCATE bus.shard_leases');
  });
  afterAll(async () => {
    await admin.end();
    await database.drop();
  });

  async function connect(url = database.url): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    clients.add(client);
    return client;
  }

  async function newProcess(): Promise<{ client: pg.Client; leases: ShardLeases }> {
    const client = await connect();
    return { client, leases: new ShardLeases(client, CONSUMER, silentLog) };
  }

  it('are claimed once, however many sessions claim at once', async () => {
    const processes = await Promise.all(Array.from({ length: 8 }, newProcess));
    const claimed = await Promise.all(processes.map(({ leases }) => leases.keep()));
    expect(claimed.flat().toSorted((one, other) => one - other)).toEqual(shards);
    const again = await Promise.all(processes.map(({ leases }) => leases.keep()));
    expect(again.flat()).toEqual([]);
  });

  it('are free as soon as the session of the owner is gone', async () => {
    const owner = await newProcess();
    const heir = await newProcess();
    expect(await owner.leases.keep()).toHaveLength(shards.length);
    expect(await heir.leases.keep()).toEqual([]);
    await owner.client.end();
    await eventually(async () => expect(await heir.leases.keep()).toHaveLength(shards.length));
  });

  it('of a frozen owner are free once they expire, after its session is terminated', async () => {
    const owner = await newProcess();
    const heir = await newProcess();
    await owner.leases.keep();
    await admin.query(`UPDATE bus.shard_leases SET expires_at = now() - interval '1 ms'`);
    expect(await heir.leases.keep()).toHaveLength(shards.length);
    await expect(owner.client.query('SELECT')).rejects.toThrow('not queryable');
  });

  it('are renewed by their owner, which stops when another process holds one of them', async () => {
    let now = 0;
    const client = await connect();
    const leases = new ShardLeases(client, CONSUMER, silentLog, () => now);
    await leases.keep();
    await admin.query(`UPDATE bus.shard_leases SET expires_at = now() - interval '1 ms'`);
    now += 10_000;
    expect(await leases.keep()).toEqual([]);
    const { rows } = await admin.query('SELECT FROM bus.shard_leases WHERE expires_at > now()');
    expect(rows).toHaveLength(shards.length);

    await admin.query('DELETE FROM bus.shard_leases WHERE shard = 3');
    now += 10_000;
    await expect(leases.keep()).rejects.toThrow('taken over');
  });

  it('are not claimed beside a process of an older version that uses only advisory locks', async () => {
    const older = await connect();
    await older.query(LOCK_SQL, [shards.slice(0, 4)]);
    const newer = await newProcess();
    expect(await newer.leases.keep()).toHaveLength(shards.length - 4);
    const { rows } = await older.query<{ pg_try_advisory_lock: boolean }>(LOCK_SQL, [shards.slice(4)]);
    expect(rows.some((row) => row.pg_try_advisory_lock)).toBe(false);
    await older.end();
    await eventually(async () => expect(await newer.leases.keep()).toHaveLength(4));
  });

  it('are not taken from a process that started while the claim waited', async () => {
    const gone = await newProcess();
    await gone.leases.keep();
    await gone.client.end();
    const waiting = await newProcess();
    const between = await connect();
    await between.query('BEGIN; UPDATE bus.shard_leases SET expires_at = expires_at');
    const claim = waiting.leases.keep();
    await eventually(async () => {
      const { rows } = await admin.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      expect(rows).toHaveLength(1);
    });
    const newest = await connect();
    const { rows } = await newest.query<{ pid: number }>(
      'SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()',
    );
    await between.query(
      `UPDATE bus.shard_leases AS l SET pid = a.pid, backend_start = a.backend_start
       FROM pg_stat_activity AS a WHERE a.pid = ${rows[0]?.pid} AND l.shard < 4`,
    );
    await between.query('COMMIT');
    expect((await claim).toSorted((one, other) => one - other)).toEqual(shards.slice(4));
  });

  it('are claimed even if another role has taken the locks of older versions', async () => {
    const [role, password] = [
      `relay_stranger_${randomBytes(6).toString('hex')}`,
      randomBytes(8).toString('hex'),
    ];
    await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`);
    try {
      const url = new URL(database.url);
      [url.username, url.password] = [role, password];
      const stranger = await connect(url.href);
      await stranger.query(LOCK_SQL, [shards]);
      const { leases } = await newProcess();
      expect(await leases.keep()).toHaveLength(shards.length);
      await stranger.end();
    } finally {
      await admin.query(`DROP ROLE ${role}`);
    }
  });
});
