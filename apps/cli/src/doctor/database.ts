import { explainConnectionError } from '@relay/bus';
import { DatabaseClient, requireMigrations, StartupError } from '@relay/platform';
import { skewText } from './address.js';
import { ok, problemsOrOk, problem, type Finding } from './finding.js';

const CONNECT_TIMEOUT_MS = 5_000;
const QUERY_TIMEOUT_MS = 8_000;
const OLDEST_VERSION = 150_000;
/** A dump takes minutes; what is open for longer was probably forgotten. */
const DEFAULT_LONG_TRANSACTION_MS = 15 * 60_000;
/** Those that every service uses. */
const SCHEMAS = ['bus', 'portals', 'platform'];

export interface DatabaseOptions {
  longTransactionMs?: number;
}

interface DatabaseResult {
  findings: Finding[];
  /** The tables are there and can be read: what they hold can be checked. */
  isUsable: boolean;
}

interface Facts {
  version: string;
  number: number;
  role: string;
  isSuperuser: boolean;
  isReadOnly: boolean;
  now: Date;
}

/** PostgreSQL at DATABASE_URL: version, role, migrations, permissions, long transactions, time. */
export async function checkDatabase(url: string, options: DatabaseOptions = {}): Promise<DatabaseResult> {
  const client = new DatabaseClient({
    connectionString: url,
    application_name: 'b24-relay doctor',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
  });
  try {
    await client.connect();
    return await inspect(client, url, options);
  } catch (error) {
    const { reason } = explainConnectionError(error, 'DATABASE_URL');
    return { findings: [problem('database', reason)], isUsable: false };
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function inspect(
  client: DatabaseClient,
  url: string,
  { longTransactionMs = DEFAULT_LONG_TRANSACTION_MS }: DatabaseOptions,
): Promise<DatabaseResult> {
  const askedAt = Date.now();
  const { rows } = await client.query<Facts>(
    `SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
       current_user AS role, rolsuper AS "isSuperuser",
       current_setting('transaction_read_only')::boolean AS "isReadOnly", clock_timestamp() AS now
     FROM pg_roles WHERE rolname = current_user`,
  );
  const [facts] = rows;
  if (!facts) return { findings: [problem('database', 'it does not tell its version')], isUsable: false };
  const skew = skewText(facts.now.getTime(), askedAt, 'PostgreSQL');
  const findings: Finding[] = [
    facts.number < OLDEST_VERSION
      ? problem('database', `PostgreSQL ${facts.version} is too old: use version 15 or newer`)
      : ok('database', `PostgreSQL ${facts.version} answers`),
    ...(skew === undefined ? [] : [problem('time', skew)]),
  ];
  if (facts.isReadOnly) {
    findings.push(
      problem('database', 'it accepts no writes: set DATABASE_URL to the primary, not to a standby'),
    );
  }
  const migrated = await checkMigrations(url);
  findings.push(migrated);
  if (migrated.state !== 'ok') return { findings, isUsable: false };
  const denied = await deniedTables(client);
  findings.push(...roleFindings(facts, denied), ...(await checkTransactions(client, longTransactionMs)));
  return { findings, isUsable: denied.length === 0 && !facts.isReadOnly };
}

async function checkMigrations(url: string): Promise<Finding> {
  try {
    await requireMigrations(url);
    return ok('migrations', 'all are done');
  } catch (error) {
    if (error instanceof StartupError) {
      return problem(
        'migrations',
        'the tables are missing, or older than this version: run `npm run migrate`',
      );
    }
    return problem('migrations', explainConnectionError(error, 'DATABASE_URL').reason);
  }
}

function roleFindings({ role, isSuperuser }: Facts, denied: readonly string[]): Finding[] {
  const problems: string[] = [];
  if (isSuperuser) {
    problems.push(
      `${role} is a superuser: give the services a role of their own with MIGRATE_DATABASE_URL, ADMIN_DATABASE_URL and npm run migrate`,
    );
  }
  if (denied.length > 0) {
    const some = denied.slice(0, 3).join(', ');
    problems.push(
      `${role} may not read and write ${some}${denied.length > 3 ? ` and ${denied.length - 3} more tables` : ''}: run npm run migrate with MIGRATE_DATABASE_URL, which grants it`,
    );
  }
  return problemsOrOk('database role', problems, `${role} may do what is needed, and is no superuser`);
}

async function deniedTables(client: DatabaseClient): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT nspname || '.' || relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
     WHERE relkind IN ('r', 'p') AND nspname = ANY ($1)
       AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
         AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')
         AND has_table_privilege(c.oid, 'DELETE'))
     ORDER BY 1`,
    [SCHEMAS],
  );
  return rows.map(({ name }) => name);
}

/** PostgreSQL shows a role without `pg_read_all_stats` only its own sessions. */
async function checkTransactions(client: DatabaseClient, longMs: number): Promise<Finding[]> {
  const { rows } = await client.query<{ pid: number; role: string; app: string; seconds: number }>(
    `SELECT pid, usename AS role, application_name AS app,
       extract(epoch FROM clock_timestamp() - xact_start)::int AS seconds
     FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
       AND xact_start < clock_timestamp() - make_interval(secs => $1) ORDER BY xact_start LIMIT 20`,
    [longMs / 1_000],
  );
  const lines = rows.map(
    ({ pid, role, app, seconds }) =>
      `a transaction of ${role} (${app || 'unnamed'}, process ${pid}) is open for ${Math.round(seconds / 60)} min, and keeps PostgreSQL from reusing space: end it, with SELECT pg_terminate_backend(${pid}) if need be`,
  );
  return problemsOrOk('transactions', lines, 'none is open for long');
}
