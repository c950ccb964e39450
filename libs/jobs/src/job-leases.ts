import type { DataSource } from 'typeorm';
import {
  type JobPriority,
  type PortalJob,
  JOB_COLUMNS,
  type JobProgress,
  PRIORITIES,
} from './portal-jobs.js';

/** Decision after a failure: retry `afterMs` from now, or not. `counts`: the failure counts as an attempt. */
export type RetryDecision = { again: true; afterMs: number; counts: boolean } | { again: false };

interface LeaseOptions {
  consumer: string;
  kinds: readonly string[];
  /**
   * Unique id of this runner, so that a job that was released and taken by another runner is not mistaken for its own.
   */
  owner: string;
  leaseMs: number;
  order: JobOrder;
}

/** Within a priority. `fifo`: what waits longest is taken first; `lifo`: the newest, for jobs whose value fades as they wait. */
export type JobOrder = 'fifo' | 'lifo';

/**
 * A job whose process ended this often during its run is run exclusively from then on: it may be the cause of the
 * crash, or have run concurrently with it.
 */
export const SUSPECT_LOST_LEASES = 2;
/** After three exclusive runs the job is poison, as an event would be (docs/adr/0009-crash-suspects-run-exclusively.md). */
const MAX_LOST_LEASES = 5;
/** After this wait a suspect runs concurrently, because a busy process may never be idle. */
const MAX_SUSPECT_WAIT_MS = 10 * 60_000;
const POISON = `poison: the process that did it ended or stood still ${MAX_LOST_LEASES} times in the middle of it`;

/**
 * SQL of the leases by which processes share jobs: a lease that is not extended expires, and another process takes the
 * job.
 */
export class JobLeases {
  constructor(
    private readonly dataSource: DataSource,
    private readonly options: LeaseOptions,
  ) {}

  /**
   * Takes the next job by the order, or one with an expired lease, which counts as an attempt and increases the
   * delay of the next takeover. Jobs of one portal run one at a time.
   * @param inFlight the jobs of this process, which must not be taken again; a suspect is taken only while this is empty
   * @returns undefined when no job is due
   */
  async take(
    inFlight: readonly string[],
    minPriority: JobPriority = 'background',
  ): Promise<PortalJob | undefined> {
    const { consumer, kinds, owner, leaseMs, order } = this.options;
    const [[job]] = await this.dataSource.query<[PortalJob[], number]>(
      `UPDATE portals.tasks SET state = 'running', owner = $3, ended_at = NULL, restart = false,
         attempts = attempts + (state = 'running')::int, lost_leases = lost_leases + (state = 'running')::int,
         lease_until = clock_timestamp() + make_interval(secs => $4 / 1000.0),
         started_at = coalesce(started_at, clock_timestamp())
       WHERE id = (
         SELECT id FROM portals.tasks due
         WHERE consumer = $1 AND kind = ANY ($2) AND priority >= $8
           AND ((state = 'waiting' AND due_at <= clock_timestamp())
             OR (state = 'running' AND lease_until + ${PAUSE_AFTER_LOSS} < clock_timestamp()))
           AND id <> ALL ($5::uuid[])
           AND ($5 = '{}' OR lost_leases + (state = 'running')::int < $6
             OR coalesce(lease_until, due_at) < clock_timestamp() - make_interval(secs => $7 / 1000.0))
           AND NOT EXISTS (
             SELECT FROM portals.tasks other
             WHERE other.consumer = due.consumer AND other.member_id = due.member_id AND other.id <> due.id
               AND other.state = 'running' AND other.lease_until >= clock_timestamp())
         ORDER BY priority DESC, due_at ${order === 'lifo' ? 'DESC' : 'ASC'} LIMIT 1 FOR UPDATE SKIP LOCKED)
       RETURNING ${JOB_COLUMNS}`,
      [
        consumer,
        kinds,
        owner,
        leaseMs,
        inFlight,
        SUSPECT_LOST_LEASES,
        MAX_SUSPECT_WAIT_MS,
        PRIORITIES[minPriority],
      ],
    );
    return job;
  }

  /** Fails the jobs that have lost too many leases. @returns these jobs */
  async giveUpPoison(): Promise<PortalJob[]> {
    const { consumer, kinds } = this.options;
    const [jobs] = await this.dataSource.query<[PortalJob[], number]>(
      `UPDATE portals.tasks SET state = 'failed', owner = NULL, lease_until = NULL, again = false, error = $4,
         attempts = attempts + 1, lost_leases = lost_leases + 1, ended_at = clock_timestamp()
       WHERE consumer = $1 AND kind = ANY ($2) AND state = 'running' AND lease_until < clock_timestamp()
         AND lost_leases + 1 >= $3
       RETURNING ${JOB_COLUMNS}`,
      [consumer, kinds, MAX_LOST_LEASES, POISON],
    );
    return jobs;
  }

  /** @returns the ids of this owner's running jobs that an interactive request restarts */
  async rerunRequested(): Promise<string[]> {
    const { consumer, owner } = this.options;
    const rows = await this.dataSource.query<{ id: string }[]>(
      `SELECT id FROM portals.tasks WHERE consumer = $1 AND owner = $2 AND state = 'running' AND restart`,
      [consumer, owner],
    );
    return rows.map(({ id }) => id);
  }

  /** @returns false when another process has taken the job */
  async extend(id: string): Promise<boolean> {
    return await this.change(id, `lease_until = clock_timestamp() + make_interval(secs => $3 / 1000.0)`, [
      this.options.leaseMs,
    ]);
  }

  /**
   * Stores the progress and resets the attempts.
   * @param isCleared the job has run long enough in this process not to be a suspect
   */
  async report(id: string, progress: JobProgress, isCleared: boolean): Promise<boolean> {
    return await this.change(
      id,
      `progress = $3::jsonb, attempts = 0, error = NULL,
       lost_leases = CASE WHEN $4 AND progress IS DISTINCT FROM $3::jsonb THEN 0 ELSE lost_leases END`,
      [JSON.stringify(progress), isCleared],
    );
  }

  async done(id: string, progress: JobProgress): Promise<void> {
    await this.change(
      id,
      `owner = NULL, lease_until = NULL, attempts = 0, lost_leases = 0, error = NULL,
       progress = CASE WHEN again THEN '{}' ELSE $3::jsonb END,
       state = CASE WHEN again THEN 'waiting' ELSE 'done' END, again = false, restart = false,
       priority = CASE WHEN again AND NOT restart THEN 0 ELSE priority END, due_at = clock_timestamp(),
       started_at = CASE WHEN again THEN NULL ELSE started_at END, ended_at = clock_timestamp()`,
      [JSON.stringify(progress)],
    );
  }

  async failed(id: string, error: string, decision: RetryDecision): Promise<void> {
    await this.change(
      id,
      `owner = NULL, lease_until = NULL, lost_leases = 0, error = $3, attempts = attempts + $4, again = false,
       state = CASE WHEN $5 OR again THEN 'waiting' ELSE 'failed' END, ended_at = clock_timestamp(),
       due_at = clock_timestamp() + make_interval(secs => $6 / 1000.0)`,
      [
        error,
        decision.again && decision.counts ? 1 : 0,
        decision.again,
        decision.again ? Math.ceil(decision.afterMs) : 0,
      ],
    );
  }

  /** Releases the job, which is due at once behind those that wait: this process shuts down, or the job has yielded. */
  async release(id: string): Promise<void> {
    await this.change(
      id,
      `owner = NULL, lease_until = NULL, state = 'waiting', due_at = clock_timestamp()`,
      [],
    );
  }

  private async change(id: string, changes: string, parameters: unknown[]): Promise<boolean> {
    const [, changed] = await this.dataSource.query<[unknown[], number]>(
      `UPDATE portals.tasks SET ${changes} WHERE id = $1 AND owner = $2 AND state = 'running'`,
      [id, this.options.owner, ...parameters],
    );
    return changed > 0;
  }
}

/** The first lost lease causes no extra delay: a process was killed and happened to run this job. */
const PAUSE_AFTER_LOSS = `make_interval(secs => CASE WHEN lost_leases = 0 THEN 0 ELSE $4 / 1000.0 * 2 ^ least(lost_leases, 6) END)`;
