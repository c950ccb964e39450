import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { pause } from '../async/async.js';
import { databasePool } from '../database/database.js';
import type { Log } from '../telemetry/logger.js';

/**
 * The leader renews, and the others try to acquire, this many times per lifetime of the lease: two attempts may fail.
 */
const ATTEMPTS_PER_LIFETIME = 5;
/** The leader resigns after this share of the lifetime, before the lease is free for others. */
const TRUSTED_SHARE = 0.8;
const DEFAULT_TTL_MS = 15_000;
/** The monotonic clock stops while the machine is suspended; the wall clock may be set back. */
const DEFAULT_CLOCKS = [() => performance.now(), () => Date.now()];

// The lifetime counts from the arrival of the statement: one that waited, and whose asker has given up, extends
// nothing.
const CLAIM_SQL = `
  WITH claimed AS (
    INSERT INTO platform.leader_leases AS l (name, holder, term, expires_at)
    VALUES ($1, $2, 1, statement_timestamp() + make_interval(secs => $3 / 1000.0))
    ON CONFLICT (name) DO UPDATE SET
      holder = excluded.holder,
      term = l.term + (l.holder <> excluded.holder OR l.expires_at <= clock_timestamp())::int,
      expires_at = CASE WHEN l.holder = excluded.holder THEN greatest(l.expires_at, excluded.expires_at)
        ELSE excluded.expires_at END
    WHERE l.holder = excluded.holder OR l.expires_at <= clock_timestamp()
    RETURNING term
  )
  SELECT (SELECT term FROM claimed) AS term,
    (SELECT extract(epoch FROM expires_at - clock_timestamp()) * 1000 FROM platform.leader_leases WHERE name = $1)::float8
      AS "freeInMs"`;

const RELEASE_SQL = `UPDATE platform.leader_leases SET expires_at = clock_timestamp() WHERE name = $1 AND holder = $2`;

export interface LeaderLeaseOptions {
  databaseUrl: string;
  /** Name of the role, such as `control-plane`: one leader per name among all processes on this database. */
  name: string;
  log: Log;
  /** After this time without a renewal the lease is free for another process. */
  ttlMs?: number;
  /** Clocks in milliseconds; the one that has advanced further counts. */
  clocks?: readonly (() => number)[];
}

/**
 * Elects one leader among any number of processes, by a row that the leader renews
 * (docs/adr/0023-a-lease-row-elects-the-leader.md). At most one process leads at a time: a leader that cannot renew, or whose
 * process stood still, stops being leader before another can become one. Work that began before may still be in
 * progress then, so it must be harmless when repeated; `term` tells the writes of a former leader from those of the
 * present one.
 */
export class LeaderLease {
  private readonly holder = randomUUID();
  private readonly stopping = new AbortController();
  private readonly listeners = new Set<(isLeader: boolean) => void>();
  private readonly ttlMs: number;
  private readonly intervalMs: number;
  private readonly pool: pg.Pool;
  private readonly clocks: readonly (() => number)[];
  /** The clocks at the request of the last renewal. */
  private renewedAt: readonly number[] | undefined;
  private resignTimer: NodeJS.Timeout | undefined;
  private notified = false;
  private isFailing = false;
  private currentTerm = 0;
  private running: Promise<void> | undefined;
  private stopped: Promise<void> | undefined;

  constructor(private readonly options: LeaderLeaseOptions) {
    this.ttlMs = options.ttlMs ?? DEFAULT_TTL_MS;
    this.intervalMs = this.ttlMs / ATTEMPTS_PER_LIFETIME;
    this.clocks = options.clocks ?? DEFAULT_CLOCKS;
    this.pool = databasePool({
      connectionString: options.databaseUrl,
      application_name: 'b24-relay leader lease',
      max: 1,
      keepAlive: true,
      // A hanging connection is abandoned with its attempt, so that the next one has time.
      connectionTimeoutMillis: this.intervalMs,
      query_timeout: this.intervalMs,
    });
  }

  /** Starts to contend. Returns without waiting for the database. */
  start(): void {
    this.running ??= this.run();
  }

  /** Resigns and releases the lease, so that another process can acquire it at once. Stop the leader's work first. */
  async stop(): Promise<void> {
    await (this.stopped ??= this.close());
  }

  /** Whether this process leads now. Check before each step of the work: the answer expires. */
  isLeader(): boolean {
    return this.trustedForMs() > 0;
  }

  /** The fencing token: higher than that of every previous leader. Undefined if this process does not lead. */
  get term(): number | undefined {
    return this.isLeader() ? this.currentTerm : undefined;
  }

  /** Calls the listener when this process becomes leader, and when it stops being leader. @returns unsubscribes */
  onChange(listener: (isLeader: boolean) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) await pause(await this.attempt(), signal);
  }

  private async close(): Promise<void> {
    this.stopping.abort();
    await this.running;
    const held = this.isLeader();
    this.renewedAt = undefined;
    this.notifyOfChange();
    // On failure the lease expires.
    if (held) await this.pool.query(RELEASE_SQL, [this.options.name, this.holder]).catch(() => undefined);
    await this.pool.end();
  }

  /** @returns the delay of the next attempt */
  private async attempt(): Promise<number> {
    const askedAt = this.clocks.map((now) => now());
    const { name, log } = this.options;
    try {
      const { rows } = await this.pool.query<{ term: string | null; freeInMs: number | null }>(CLAIM_SQL, [
        name,
        this.holder,
        this.ttlMs,
      ]);
      this.isFailing = false;
      const { term = null, freeInMs = null } = rows[0] ?? {};
      if (term !== null) this.currentTerm = Number(term);
      this.renewedAt = term === null ? undefined : askedAt;
      this.notifyOfChange();
      // If the lease expires before the next regular attempt, try then.
      return term === null ? Math.min(Math.max(freeInMs ?? 0, 10), this.intervalMs) : this.intervalMs;
    } catch (err) {
      if (!this.isFailing) {
        log.warn(
          { event: 'leader.lease.unreachable', name, err },
          'the leader lease could not be acquired or extended',
        );
      }
      this.isFailing = true;
      return this.intervalMs;
    }
  }

  private trustedForMs(): number {
    const { renewedAt } = this;
    if (!renewedAt) return 0;
    const elapsedMs = Math.max(...this.clocks.map((now, at) => now() - (renewedAt[at] ?? 0)));
    return this.ttlMs * TRUSTED_SHARE - elapsedMs;
  }

  /** Notifies the listeners of a change, and again when the trusted time of the lease ends. */
  private notifyOfChange(): void {
    clearTimeout(this.resignTimer);
    const trustedMs = this.trustedForMs();
    const leads = trustedMs > 0;
    if (leads) this.resignTimer = setTimeout(() => this.notifyOfChange(), Math.ceil(trustedMs)).unref();
    if (leads === this.notified) return;
    this.notified = leads;
    const { name, log } = this.options;
    const fields = { name, term: this.currentTerm };
    if (leads) log.info(fields, 'this process is the leader');
    else if (this.stopping.signal.aborted) log.info(fields, 'this process has released the leader lease');
    else log.warn({ event: 'leader.lease.lost', ...fields }, 'this process has lost the leader lease');
    for (const listener of this.listeners) listener(leads);
  }
}
