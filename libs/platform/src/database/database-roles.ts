import type pg from 'pg';
import { DatabaseClient } from './database.js';
import type { Log } from '../telemetry/logger.js';
import { StartupError } from '../errors/fatal-error.js';

/** The schema in which the services create objects: a view for each type of a portal (docs/mirror.md). */
const VIEW_SCHEMA = 'mirror';
/** A role that can only read that schema; its migrations name it, too. */
const READER_ROLE = 'mirror_reader';
/** TypeORM's table of executed migrations. */
const MIGRATION_TABLE = 'public.migrations';

export interface RoleUrls {
  /** A superuser, used for this step only. */
  admin: string;
  /** Owns the schemas and runs the migrations. */
  owner: string;
  /** The role of the services: reads and writes rows, and creates views in `mirror`. */
  service: string;
}

/**
 * Creates or updates the two roles, including their passwords, and transfers to them what a superuser has owned so far.
 * Idempotent. With these roles an injected statement cannot reach beyond the database of the services, nor change the
 * tables.
 * @throws StartupError if the three addresses do not name three roles of one database
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
    // A member may transfer the ownership of views, and set default privileges for new ones.
    await run(client, 'GRANT %I TO %I', [service.role, owner.role]);
    // The owner of a database can create schemas in it, and tables in its schema public.
    await run(client, 'ALTER DATABASE %I OWNER TO %I', [admin.database, owner.role]);
    // The default since PostgreSQL 15. In a database upgraded from an older version every role can create functions
    // there, which the owner's statements would resolve to.
    await client.query('REVOKE CREATE ON SCHEMA public FROM PUBLIC');
    await run(client, 'GRANT USAGE, CREATE ON SCHEMA public TO %I', [owner.role]);
    await handOver(client, owner.role, service.role);
  });
  log.info({ owner: owner.role, service: service.role }, 'database roles are as they should be');
}

/**
 * Runs after the migrations, as their owner: grants the services access to the present objects. Does nothing if both
 * are one role.
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

/** Removes every right over the server that the role had before. */
async function ensureLogin(client: pg.Client, role: string, password: string): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [role]);
  if (rowCount === 0) await run(client, 'CREATE ROLE %I', [role]);
  await run(
    client,
    'ALTER ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD %L',
    [role, password],
  );
}

/** Roles belong to the whole server, so another database may have created it already. */
async function ensureReader(client: pg.Client): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [READER_ROLE]);
  if (rowCount === 0) await run(client, 'CREATE ROLE %I NOLOGIN', [READER_ROLE]);
}

/**
 * Transfers what migrations and services created as the superuser before these roles existed, except objects of
 * extensions.
 */
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

/** PostgreSQL's own `format` inserts names and texts, quoted. */
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

/** Runs the work in one transaction. */
async function withClient(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new DatabaseClient({ connectionString: url });
  await client.connect();
  try {
    await client.query('BEGIN');
    // Without `public`: an operator that a user created there for these types would take precedence over PostgreSQL's
    // own, and run as the superuser.
    await client.query('SET LOCAL search_path = pg_catalog, pg_temp');
    await work(client);
    await client.query('COMMIT');
  } finally {
    await client.end();
  }
}
