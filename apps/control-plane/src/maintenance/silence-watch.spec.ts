import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { PortalJobs } from '@relay/jobs';
import { databaseOptions, silentLog } from '@relay/platform';
import { EventArrivals, PORTAL_ENTITIES, Reachability } from '@relay/portals';
import { DataSource } from 'typeorm';
import { migratedDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { SilenceWatch } from './silence-watch.js';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** Real: PostgreSQL with all tables. The clock is the spec's; gateways are their reports alone, and nobody is asked for a test. */
describe('silence', () => {
  let database: TestDatabase;
  let source: DataSource;
  let nowMs: number;
  let arrivals: EventArrivals;
  let watch: SilenceWatch;

  beforeAll(async () => {
    database = await migratedDatabase();
    source = await new DataSource(databaseOptions(database.url, 'spec', PORTAL_ENTITIES)).initialize();
  });
  beforeEach(async () => {
    await source.query('TRUNCATE platform.service_processes, portals.portals CASCADE');
    nowMs = Date.now();
    arrivals = new EventArrivals(source, () => nowMs);
    watch = new SilenceWatch(
      new Reachability(source, () => nowMs),
      {
        for: () => {
          throw new Error('No test is asked for here.');
        },
      },
      new PortalJobs(source),
      source,
      { isLeader: () => true, onChange: () => () => undefined },
      silentLog,
    );
    await source.query(
      `WITH portal AS (
         INSERT INTO portals.portals (member_id, domain, client_endpoint, state, scope, status, delivery_mode, installed_at)
         VALUES ('m1', 'x', 'https://portal.example/rest/', 'installed', '{crm}', 'F', 'both', to_timestamp($1::float8 / 1000))
         RETURNING member_id),
       tokens AS (
         INSERT INTO portals.credentials (member_id, kind, access_token, refresh_token, expires_at)
         SELECT member_id, 'oauth', 'a', 'r', now() FROM portal)
       INSERT INTO portals.event_bindings (member_id, name, handler, state)
       SELECT member_id, 'ONAPPTEST', 'https://relay.example/b24/events', 'bound' FROM portal`,
      [nowMs],
    );
  });
  afterAll(async () => {
    await source?.destroy();
    await database?.drop();
  });

  /** Its report, since a time of the spec's clock. */
  async function gateway(host: string, state: object): Promise<void> {
    await source.query(
      `INSERT INTO platform.service_processes (service, replica, host, pid, address, state, started_at, reported_at)
       VALUES ('gateway', gen_random_uuid(), $1, 1, '', $2::jsonb, to_timestamp($3::float8 / 1000), now())`,
      [host, JSON.stringify(state), nowMs],
    );
  }
  const ends = (host: string) =>
    source.query('DELETE FROM platform.service_processes WHERE host = $1', [host]);

  /** A poll of the offline queue finds a change of half a minute ago. */
  async function poll(): Promise<void> {
    nowMs += 5 * MINUTE;
    await arrivals.noteRecords('m1', [nowMs - 35_000]);
    await watch.check();
  }

  async function tests(): Promise<number> {
    const [row] = await source.query<{ count: number }[]>(
      `SELECT count(*)::int FROM portals.tasks WHERE consumer = 'control-plane-silence'`,
    );
    return row?.count ?? 0;
  }

  async function reason(): Promise<string | null> {
    return (await new Reachability(source).reports()).get('m1')?.reason ?? null;
  }

  it('is judged only while every gateway notes what comes: not in the middle of an upgrade, and not without one', async () => {
    await watch.check();
    nowMs += 2 * DAY;
    await watch.check();
    expect(await tests()).toBe(0);
    await gateway('former', { journal: {}, repairs: [] });
    await gateway('new', { notesArrivals: true });
    await watch.check();
    nowMs += 2 * DAY;
    await watch.check();
    expect(await tests()).toBe(0);
    await ends('former');
    // The portal is watched from now on.
    await watch.check();
    nowMs += 2 * DAY;
    await watch.check();
    expect(await tests()).toBe(1);
  });

  it('is not proved by records of a time in which one gateway did not note what came online', async () => {
    await gateway('former', {});
    await gateway('new', { notesArrivals: true });
    for (let polls = 0; polls < 5; polls += 1) await poll();
    expect(await reason()).toBeNull();
    await ends('former');
    for (let polls = 0; polls < 2; polls += 1) await poll();
    expect(await reason()).toBeNull();
    await poll();
    expect(await reason()).toBe('offline-only');
  });

  it('is not proved by records of a time without a gateway, also if nobody looked meanwhile', async () => {
    for (let polls = 0; polls < 5; polls += 1) {
      nowMs += 5 * MINUTE;
      await arrivals.noteRecords('m1', [nowMs - 35_000]);
    }
    nowMs += MINUTE;
    await gateway('new', { notesArrivals: true });
    await watch.check();
    expect(await reason()).toBeNull();
    for (let polls = 0; polls < 2; polls += 1) await poll();
    expect(await reason()).toBeNull();
    await poll();
    expect(await reason()).toBe('offline-only');
  });

  it('is no silence without a gap, also if the process ends in the middle of noting it', async () => {
    await gateway('new', { notesArrivals: true });
    await source.query(
      `CREATE FUNCTION portals.end_process() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$`,
    );
    await source.query(
      'CREATE TRIGGER ends BEFORE INSERT ON portals.event_gaps FOR EACH ROW EXECUTE FUNCTION portals.end_process()',
    );
    for (let polls = 0; polls < 2; polls += 1) await poll();
    await expect(poll()).rejects.toThrow('terminating connection');
    await source.query('DROP FUNCTION portals.end_process CASCADE');
    await watch.check();
    expect(await reason()).toBe('offline-only');
    expect(await source.query('SELECT reason FROM portals.event_gaps')).toEqual([{ reason: 'UNREACHABLE' }]);
  });
});
