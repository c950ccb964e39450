import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { freshDatabase, type TestDatabase } from '../support/database.js';
import { AppProcess } from '../support/processes.js';

/** Roles belong to the whole server, so these carry a name of this run. */
const suffix = `${process.pid}_${randomBytes(3).toString('hex')}`;
const [ownerRole, serviceRole] = [`relay_test_owner_${suffix}`, `relay_test_service_${suffix}`];

async function migrate(env: Record<string, string>): Promise<{ code: number | null; log: string }> {
  const run = AppProcess.start('migrate', 'libs/platform/src/migrate.js', env);
  return { code: await run.end(), log: run.log() };
}

/** Real: PostgreSQL, and `npm run migrate` as built. */
describe('the role that the services connect as', () => {
  let database: TestDatabase;
  let admin: pg.Client;
  let service: pg.Client;
  let urls: Record<string, string>;

  const urlOf = (role: string): string => {
    const url = new URL(database.url);
    url.username = role;
    // What has to be quoted in SQL, and encoded in an address.
    url.password = encodeURIComponent(`it's "${role}" \\ $1 %`);
    return url.href;
  };

  beforeAll(async () => {
    database = await freshDatabase();
    urls = {
      ADMIN_DATABASE_URL: database.url,
      MIGRATE_DATABASE_URL: urlOf(ownerRole),
      DATABASE_URL: urlOf(serviceRole),
    };
    // As an installation was before there were roles: everything is a superuser's, a view of the mirror included.
    expect((await migrate({ DATABASE_URL: database.url })).code).toBe(0);
    admin = new pg.Client({ connectionString: database.url });
    await admin.connect();
    await admin.query('CREATE VIEW mirror.acme_t1 AS SELECT item_id FROM mirror.items');
    const { code, log } = await migrate(urls);
    expect([code, log]).toEqual([0, expect.stringContaining('database roles')]);
    service = new pg.Client({ connectionString: urls['DATABASE_URL'] });
    await service.connect();
  }, 120_000);

  afterAll(async () => {
    await service?.end();
    await admin?.end();
    await database?.drop();
    const server = new pg.Client({ connectionString: database.url.replace(/[^/]+$/, 'postgres') });
    await server.connect();
    for (const role of [serviceRole, ownerRole]) await server.query(`DROP ROLE IF EXISTS ${role}`);
    await server.end();
  });

  it('has no right over the server', async () => {
    const { rows } = await service.query(
      `SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AS any
       FROM pg_roles WHERE rolname = current_user`,
    );
    expect(rows).toEqual([{ any: false }]);
    await expect(service.query(`COPY (SELECT 1) TO PROGRAM 'true'`)).rejects.toThrow(/permission|superuser/);
    await expect(service.query(`SELECT pg_read_file('PG_VERSION')`)).rejects.toThrow('permission');
    await expect(service.query('CREATE SCHEMA other')).rejects.toThrow('permission');
  });

  it('owns no table, and changes none', async () => {
    const { rows } = await service.query(
      `SELECT c.oid::regclass::text AS name FROM pg_class c WHERE relkind = 'r' AND relowner = current_user::regrole`,
    );
    expect(rows).toEqual([]);
    for (const table of ['portals.portals', 'bus.messages', 'mirror.items', 'names.corrections']) {
      await expect(service.query(`ALTER TABLE ${table} ADD COLUMN x int`)).rejects.toThrow('must be owner');
      await expect(service.query(`DROP TABLE ${table}`)).rejects.toThrow('must be owner');
      await service.query(`SELECT FROM ${table}`);
      await service.query(`DELETE FROM ${table}`);
    }
    await expect(service.query('CREATE TABLE portals.x (id int)')).rejects.toThrow('permission');
    await expect(service.query('CREATE TABLE bus.x (id int)')).rejects.toThrow('permission');
  });

  it('makes views in mirror, replaces those from before, and readers see them', async () => {
    await service.query('CREATE OR REPLACE VIEW mirror.acme_t1 AS SELECT item_id, title FROM mirror.items');
    await service.query('CREATE VIEW mirror.acme_t2 AS SELECT title FROM mirror.items');
    const { rows } = await admin.query(
      `SELECT has_table_privilege('mirror_reader', 'mirror.acme_t2', 'SELECT') AS view,
              has_table_privilege('mirror_reader', 'mirror.items', 'SELECT') AS items,
              has_table_privilege('mirror_reader', 'portals.portals', 'SELECT') AS portals`,
    );
    expect(rows).toEqual([{ view: true, items: true, portals: false }]);
  });

  it('writes the event log, and keeps its partitions by a function alone', async () => {
    await expect(service.query('CREATE TABLE event_log.x (id int)')).rejects.toThrow('permission');
    await expect(service.query('TRUNCATE event_log.events')).rejects.toThrow('permission');
    const [ahead] = (
      await admin.query<{ name: string }>(
        `SELECT max(inhrelid::regclass::text) AS name FROM pg_inherits WHERE inhparent = 'event_log.events'::regclass`,
      )
    ).rows.map(({ name }) => name);
    await admin.query(`DROP TABLE ${ahead}`);
    await service.query('SELECT event_log.maintain(3, 1000000000)');
    const { rows } = await admin.query('SELECT to_regclass($1) IS NOT NULL AS "isBack"', [ahead]);
    expect(rows).toEqual([{ isBack: true }]);
    await service.query(
      `INSERT INTO event_log.outcomes (event_id, consumer, outcome, attempts, at) VALUES (gen_random_uuid(), 'one', 'done', 0, now())`,
    );
    expect((await service.query('SELECT FROM event_log.outcomes')).rowCount).toBe(1);
    await service.query('SELECT event_log.maintain(3, 0)');
    expect((await service.query('SELECT FROM event_log.outcomes')).rowCount).toBe(0);
  });

  it('leaves nothing with the superuser, and comes out the same when it is run again', async () => {
    const { code } = await migrate(urls);
    expect(code).toBe(0);
    const { rows } = await admin.query(
      `SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
       WHERE nspname IN ('bus', 'event_log', 'portals', 'mirror', 'names') AND relowner <> $1::regrole AND relowner <> $2::regrole`,
      [ownerRole, serviceRole],
    );
    expect(rows).toEqual([]);
  });

  it('becomes no superuser by what it left in the schema public of an older database', async () => {
    // As before PostgreSQL 15.
    await admin.query('GRANT CREATE ON SCHEMA public TO PUBLIC');
    await service.query(`
      CREATE FUNCTION public.trap(oid, regrole) RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN
          IF current_setting('is_superuser') = 'on' THEN EXECUTE 'ALTER ROLE ${serviceRole} CREATEDB'; END IF;
          RETURN $1 = $2::oid;
        END $$;
      CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = regrole, FUNCTION = public.trap);`);
    const { code } = await migrate(urls);
    const { rows } = await admin.query(
      `SELECT rolcreatedb AS escalated, has_schema_privilege(rolname, 'public', 'CREATE') AS "mayTrap"
       FROM pg_roles WHERE rolname = $1`,
      [serviceRole],
    );
    await service.query('DROP OPERATOR public.= (oid, regrole); DROP FUNCTION public.trap');
    expect(rows).toEqual([{ escalated: false, mayTrap: false }]);
    expect(code).toBe(0);
  });

  it('is another one than the others', async () => {
    const same = await migrate({ ...urls, DATABASE_URL: database.url });
    expect([same.code, same.log]).toEqual([1, expect.stringContaining('must name three different users')]);
  });
});
