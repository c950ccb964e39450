import type pg from 'pg';
import { DatabaseClient } from './database.js';
import type { Log } from './logger.js';
import { StartupError } from './fatal-error.js';

/** Where the services make objects of their own: a view for each type of a portal (docs/mirror.md). */
const VIEW_SCHEMA = 'mirror';
/** Who reads that schema and nothing else; also named in its migrations. */
const READER_ROLE = 'mirror_reader';
/** Where TypeORM notes what was run. */
const MIGRATION_TABLE = 'public.migrations';

export interface RoleUrls {
  /** A superuser, for this one step. */
  admin: string;
  /** Owns the schemas and runs the migrations. */
  owner: string;
  /** What the services connect as: rows in and out, and views in `mirror`. */
  service: string;
}

/**
 * Makes the two roles or brings them to what they should be, passwords included, and hands over to them what a superuser
 * owned until now. Safe to run again. So a statement that should not have been run cannot leave the database of the
 * services, nor change the tables.
 * @throws StartupError where the three addresses do not name three roles of one database
 */
export async function ensureDatabaseRoles(urls: RoleUrls, log: Log): Promise<void> {
  const admin = loginOf(urls.admin);
  const owner = loginOf(urls.owner);
  const service = loginOf(urls.service);
  if (new Set([admin.role, owner.role, service.role]).size < 3) {
    throw new StartupError(
      'ADMIN_DATABASE_URL, MIGRATE_DATABASE_URL and DATABASE_URL must name three different users.',
    );
  }
  await withClient(urls.admin, async (client) => {
    for (const { role, password } of [owner, service]) await ensureLogin(client, role, password);
    await ensureReader(client);
    // As a member it may hand views over, and say what is granted on those to come.
    await run(client, 'GRANT %I TO %I', [service.role, owner.role]);
    // Who owns a database makes schemas in it, and tables in its schema public.
    await run(client, 'ALTER DATABASE %I OWNER TO %I', [admin.database, owner.role]);
    // As PostgreSQL 15 and later have it; a database that comes from an older one lets anybody put functions there, which
    // the owner's statements would find.
    await client.query('REVOKE CREATE ON SCHEMA public FROM PUBLIC');
    await run(client, 'GRANT USAGE, CREATE ON SCHEMA public TO %I', [owner.role]);
    await handOver(client, owner.role, service.role);
  });
  log.info({ owner: owner.role, service: service.role }, 'database roles are as they should be');
}

/**
 * After the migrations, as their owner: the services may use what stands now. Nothing to do where both are one role.
 * @param serviceUrl names the role
 */
export async function grantToServices(ownerUrl: string, serviceUrl: string): Promise<void> {
  const owner = loginOf(ownerUrl).role;
  const service = loginOf(serviceUrl).role;
  if (owner === service) return;
  await withClient(ownerUrl, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      'SELECT nspname AS name FROM pg_namespace WHERE nspowner = current_user::regrole ORDER BY 1',
    );
    for (const { name } of rows) {
      await run(client, 'GRANT USAGE ON SCHEMA %I TO %I', [name, service]);
      await run(client, 'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %I', [
        name,
        service,
      ]);
      await run(client, 'GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO %I', [name, service]);
      if (name === VIEW_SCHEMA) await grantViews(client, owner, service);
    }
    await run(client, `GRANT SELECT ON ${MIGRATION_TABLE} TO %I`, [service]);
  });
}

async function grantViews(client: pg.Client, owner: string, service: string): Promise<void> {
  await run(client, 'GRANT CREATE ON SCHEMA %I TO %I', [VIEW_SCHEMA, service]);
  const { rowCount } = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [READER_ROLE]);
  if (rowCount === 0) return;
  await run(client, 'GRANT USAGE ON SCHEMA %I TO %I', [VIEW_SCHEMA, READER_ROLE]);
  for (const maker of [owner, service]) {
    await run(client, 'ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT ON TABLES TO %I', [
      maker,
      VIEW_SCHEMA,
      READER_ROLE,
    ]);
  }
}

/** Without any right over the server, whatever it had before. */
async function ensureLogin(client: pg.Client, role: string, password: string): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [role]);
  if (rowCount === 0) await run(client, 'CREATE ROLE %I', [role]);
  await run(
    client,
    'ALTER ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD %L',
    [role, password],
  );
}

/** It belongs to the whole server, so another database may have it already. */
async function ensureReader(client: pg.Client): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [READER_ROLE]);
  if (rowCount === 0) await run(client, 'CREATE ROLE %I NOLOGIN', [READER_ROLE]);
}

/** What the superuser's migrations and services made, before there were roles for it; not what an extension brought. */
async function handOver(client: pg.Client, owner: string, service: string): Promise<void> {
  const { rows } = await client.query<{ statement: string }>(
    `WITH schemas AS (
       SELECT oid, nspname FROM pg_namespace
       WHERE nspowner = current_user::regrole AND nspname !~ '^(pg_|information_schema$|public$)'
     ), owned AS (
       SELECT 2 AS place, format('ALTER %s %s OWNER TO %I',
           CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
           c.oid::regclass, CASE WHEN c.relkind = 'v' AND s.nspname = $3 THEN $2 ELSE $1 END) AS statement, c.oid
       FROM pg_class c LEFT JOIN schemas s ON s.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND c.relowner = current_user::regrole
         AND (s.oid IS NOT NULL OR c.oid = to_regclass($4))
         -- The sequence of a column goes with its table.
         AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
           AND c.relkind = 'S' AND d.deptype IN ('a', 'i'))
       UNION ALL
       SELECT 3, format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, $1), p.oid
       FROM pg_proc p JOIN schemas s ON s.oid = p.pronamespace WHERE p.proowner = current_user::regrole
       UNION ALL
       SELECT 4, format('ALTER TYPE %s OWNER TO %I', t.oid::regtype, $1), t.oid
       FROM pg_type t JOIN schemas s ON s.oid = t.typnamespace
       WHERE t.typowner = current_user::regrole AND t.typtype IN ('d', 'e', 'r')
     )
     SELECT statement FROM (
       SELECT 1 AS place, format('ALTER SCHEMA %I OWNER TO %I', nspname, $1) AS statement, oid FROM schemas
       UNION ALL SELECT * FROM owned
     ) all_of_it
     WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = all_of_it.oid AND d.deptype = 'e')
     ORDER BY place, statement`,
    [owner, service, VIEW_SCHEMA, MIGRATION_TABLE],
  );
  for (const { statement } of rows) await client.query(statement);
}

/** Names and texts are put in by PostgreSQL's own `format`, quoted. */
async function run(client: pg.Client, template: string, values: readonly string[]): Promise<void> {
  const places = values.map((_, at) => `$${at + 2}::text`).join(', ');
  const { rows } = await client.query<{ statement: string }>(`SELECT format($1, ${places}) AS statement`, [
    template,
    ...values,
  ]);
  for (const { statement } of rows) await client.query(statement);
}

interface Login {
  role: string;
  password: string;
  database: string;
}

function loginOf(url: string): Login {
  const { username, password, pathname } = new URL(url);
  return {
    role: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database: decodeURIComponent(pathname.slice(1)),
  };
}

/** All of it, or nothing. */
async function withClient(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new DatabaseClient({ connectionString: url });
  await client.connect();
  try {
    await client.query('BEGIN');
    // Not through `public`: an operator that somebody made there for just these types would come before PostgreSQL's own,
    // and run as the superuser.
    await client.query('SET LOCAL search_path = pg_catalog, pg_temp');
    await work(client);
    await client.query('COMMIT');
  } finally {
    await client.end();
  }
}
