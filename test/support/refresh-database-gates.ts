import pg from 'pg';

/**
 * Where a refresh can be held in the database: before it gets the lock, at the statement that stores the pair, after that
 * statement, and inside COMMIT, when nothing that happens to the process can stop it any more.
 */
export type DatabaseMoment = 'lock' | 'store' | 'stored' | 'commit';

const keys = { store: 7_001, stored: 7_002, commit: 7_003 } as const;

/** In the application's tables, for the test alone: each waits while the test keeps its advisory lock. */
const triggers = `
  CREATE FUNCTION portals.test_gate() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::bigint);
    RETURN NEW;
  END $$;
  CREATE TRIGGER test_store BEFORE UPDATE ON portals.credentials
    FOR EACH ROW EXECUTE FUNCTION portals.test_gate(${keys.store});
  CREATE TRIGGER test_stored AFTER UPDATE ON portals.credentials
    FOR EACH ROW EXECUTE FUNCTION portals.test_gate(${keys.stored});
  CREATE CONSTRAINT TRIGGER test_commit AFTER UPDATE ON portals.credentials DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION portals.test_gate(${keys.commit});
`;

/** Holds refreshes in PostgreSQL, by locks that their transactions run into. */
export class DatabaseGates {
  private constructor(
    private readonly keeper: pg.Client,
    private readonly keeperPid: number,
    private readonly observer: pg.Client,
  ) {}

  static async in(databaseUrl: string): Promise<DatabaseGates> {
    const [keeper, observer] = [new pg.Client(databaseUrl), new pg.Client(databaseUrl)];
    await Promise.all([keeper.connect(), observer.connect()]);
    await observer.query(triggers);
    const { rows } = await keeper.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    return new DatabaseGates(keeper, rows[0]?.pid ?? 0, observer);
  }

  async close(at: DatabaseMoment): Promise<void> {
    await this.keeper.query('BEGIN');
    if (at === 'lock') await this.keeper.query('SELECT 1 FROM portals.portals FOR UPDATE');
    else await this.keeper.query('SELECT pg_advisory_xact_lock($1)', [keys[at]]);
  }

  async open(): Promise<void> {
    await this.keeper.query('ROLLBACK');
  }

  /** The worker that a closed gate holds; others may wait behind it. */
  async held(): Promise<string | undefined> {
    const { rows } = await this.observer.query<{ name: string }>(
      `SELECT replace(application_name, 'b24-relay ', '') AS name FROM pg_stat_activity
       WHERE datname = current_database() AND $1 = ANY (pg_blocking_pids(pid))`,
      [this.keeperPid],
    );
    return rows[0]?.name;
  }

  /** What is stored of the portal: its state, and which pair it is. */
  async stored(): Promise<{ state: string; pair: string }> {
    const { rows } = await this.observer.query<{ state: string; pair: string }>(
      'SELECT state, refresh_token AS pair FROM portals.portals JOIN portals.credentials USING (member_id)',
    );
    return rows[0] ?? { state: 'unknown', pair: '' };
  }

  async stop(): Promise<void> {
    await Promise.all([this.keeper.end(), this.observer.end()]);
  }
}
