import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { loadMigrations } from '@relay/platform';
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { freshDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { eventually } from '../../../../test/support/eventually.js';
import { anEvent } from '../../../../test/support/an-event.js';
import { RecordedLog } from '../../../../test/support/recorded-log.js';
import { BusHealth } from '../connection/connection-report.js';
import type { Delivery, EventBus } from '../contract/event-bus.js';
import { openEventBus } from '../open-bus.js';

jest.setTimeout(60_000);

const consumer = 'rejected';

/** Real: PostgreSQL, with a role that has only the permissions that a test grants. */
describe('a PostgreSQL that rejects requests', () => {
  let database: TestDatabase;
  let owner: pg.Client;
  let log: RecordedLog;
  let busHealth: BusHealth;
  let bus: EventBus | undefined;
  const role = `relay_test_${process.pid}_${randomBytes(4).toString('hex')}`;
  const deliveries: Delivery[] = [];

  beforeEach(async () => {
    database = await freshDatabase();
    owner = new pg.Client({ connectionString: database.url });
    await owner.connect();
    log = new RecordedLog();
    busHealth = new BusHealth();
    deliveries.length = 0;
  });
  afterEach(async () => {
    await bus?.close();
    bus = undefined;
    await owner.query(`DROP OWNED BY ${role}`).catch(() => undefined);
    await owner.query(`DROP ROLE IF EXISTS ${role}`);
    await owner.end();
    await database.drop();
  });

  async function migrate(): Promise<void> {
    const source = new DataSource({
      type: 'postgres',
      url: database.url,
      migrations: await loadMigrations('libs/bus'),
    });
    await source.initialize();
    await source.runMigrations();
    await source.destroy();
  }

  async function openAs(user: string): Promise<EventBus> {
    const url = new URL(database.url);
    url.username = user;
    const databaseUrl = url.href;
    bus = await openEventBus({
      databaseUrl,
      log,
      busHealth,
      retryDelaysMs: [200],
      publishDeadlineMs: 5_000,
      pollMs: 50,
    });
    return bus;
  }

  const consume = (from: EventBus): Promise<unknown> =>
    from.consume({
      consumer,
      names: ['ONCRMCONTACTUPDATE'],
      receive: (delivery) => deliveries.push(delivery),
    });

  /** However often it retries, the log has one line per connection for the operator. */
  async function isLoggedOnce(connections: readonly string[], reason: RegExp): Promise<void> {
    await eventually(() => expect(busHealth.reason).toMatch(reason));
    for (const connection of connections) {
      const about = ({ fields }: { fields: object }): boolean =>
        'connection' in fields &&
        fields.connection === connection &&
        'reason' in fields &&
        reason.test(String(fields.reason));
      await eventually(() => expect(log.lines.filter(about).length).toBeGreaterThan(2));
      expect(log.read('error').filter(about)).toHaveLength(1);
    }
  }

  async function works(working: EventBus): Promise<void> {
    await eventually(() => expect(working.isReady()).toBe(true));
    for (let events = 0; events < 2; events += 1) await working.publish(anEvent());
    await working.publish(anEvent({ name: 'ONCRMDEALADD' }));
    await eventually(() => expect(deliveries).toHaveLength(2));
    await deliveries[0]?.receipt.retry(1, { code: 'AGAIN', message: '' });
    await deliveries[1]?.receipt.dead({ code: 'BAD', message: '' });
    await eventually(() => expect(deliveries).toHaveLength(3));
    await deliveries[2]?.receipt.done();
    const { rows } = await owner.query('SELECT code FROM bus.dead_letters');
    expect(rows).toEqual([{ code: 'BAD' }]);
    expect(busHealth.reason).toBeUndefined();
  }

  it('with missing tables: logs what to run, and works once that is done', async () => {
    const opened = await openAs('postgres');
    const consuming = consume(opened);
    await isLoggedOnce(['publish', `consume ${consumer}`], /run `npm run migrate`/);
    expect(opened.isReady()).toBe(false);
    await expect(opened.publish(anEvent())).rejects.toMatchObject({ name: 'BusUnavailableError' });
    await migrate();
    await consuming;
    await works(opened);
  });

  it('without write permission: logs what to grant, and works with just that', async () => {
    await migrate();
    await owner.query(`CREATE ROLE ${role} LOGIN`);
    const opened = await openAs(role);
    const consuming = consume(opened);
    await isLoggedOnce(['publish', `consume ${consumer}`], /no permission for schema bus/);
    await owner.query(`GRANT USAGE ON SCHEMA bus TO ${role}`);
    await owner.query(`GRANT SELECT ON ALL TABLES IN SCHEMA bus TO ${role}`);
    await isLoggedOnce(
      ['publish', `consume ${consumer}`],
      /no permission for table .*GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES/,
    );
    expect(opened.isReady()).toBe(false);
    await owner.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA bus TO ${role}`);
    await consuming;
    await works(opened);
  });

  it('with a role that does not exist: logs it, and works once it does', async () => {
    await migrate();
    const opened = await openAs(role);
    await isLoggedOnce(['publish'], /PostgreSQL rejects the user in DATABASE_URL/);
    await owner.query(`CREATE ROLE ${role} LOGIN SUPERUSER`);
    await eventually(() => expect(opened.isReady()).toBe(true));
    await consume(opened);
    await works(opened);
  });

  it('that is read-only: detects it with the first event, and works once it is writable', async () => {
    await migrate();
    await readOnly('on');
    const opened = await openAs('postgres');
    expect(opened.isReady()).toBe(true);
    await expect(opened.publish(anEvent())).rejects.toMatchObject({ code: 'BUS_REFUSED' });
    expect(opened.isReady()).toBe(false);
    expect(busHealth.reason).toMatch(/leads to a PostgreSQL that only reads/);
    expect(log.read('error')).toHaveLength(1);
    await readOnly('off');
    await eventually(() => opened.publish(anEvent({ name: 'ONCRMDEALADD' })));
    await consume(opened);
    await works(opened);
  });

  /** As after a fail-over: connected clients must reconnect. */
  async function readOnly(value: 'on' | 'off'): Promise<void> {
    const { pathname } = new URL(database.url);
    await owner.query(`ALTER DATABASE ${pathname.slice(1)} SET default_transaction_read_only = ${value}`);
    await owner.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    );
  }
});
