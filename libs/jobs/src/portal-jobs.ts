import { Module } from '@nestjs/common';
import { DataSource } from 'typeorm';

export type JobState = 'waiting' | 'running' | 'done' | 'failed';
/** `interactive`: somebody waits for it, or events are lost until it is done. */
export type JobPriority = 'interactive' | 'background';

export const PRIORITIES = { background: 0, interactive: 1 } as const satisfies Record<JobPriority, number>;

/** Progress, and at the end the result, of a job. The consumer defines the shape; it must not contain secrets. */
export type JobProgress = Record<string, unknown>;

/** A job of a consumer for one portal, requested by an operator or a schedule. */
export interface PortalJob {
  id: string;
  consumer: string;
  memberId: string;
  kind: string;
  state: JobState;
  progress: JobProgress;
  /** Why it failed or is retried. */
  error: string | null;
  /** Failures since the last progress. */
  attempts: number;
  isInteractive: boolean;
  /** How often its process ended or stalled during the job, since the job last ended. */
  lostLeases: number;
  requestedAt: Date;
  startedAt: Date | null;
  endedAt: Date | null;
}

/** The jobs of a consumer at all portals. */
export interface JobOverview {
  /** Total counts, also of jobs that `tasks` does not list. */
  running: number;
  waiting: number;
  /** Running jobs first, then waiting ones, then the most recently ended: of each kind and portal the latest. */
  tasks: (PortalJob & {
    domain: string;
    /** It is running with an expired lease: another process will continue it. */
    isSilent: boolean;
  })[];
}

/** Of the installed portals for which jobs of some kinds were requested. */
export interface JobFreshness {
  /** The longest time since a job was done, or since the first request where none was. */
  lagSeconds: number;
  /** Portals whose last ended job failed. */
  failed: number;
}

export const JOB_COLUMNS = `id, consumer, member_id AS "memberId", kind, state, progress, error, attempts, priority > 0 AS "isInteractive", lost_leases AS "lostLeases",
  requested_at AS "requestedAt", started_at AS "startedAt", ended_at AS "endedAt"`;

/** Retention of ended jobs. */
const KEPT_DAYS = 30;
/** Of one kind at one portal: a portal can cause requests as often as it likes. */
const MAX_KEPT = 20;

/** Limits that keep the overview of thousands of portals readable, and cheap enough to poll every few seconds. */
const OVERVIEW_PENDING = 100;
const OVERVIEW_ENDED = 50;

/** A job was requested for a portal that is not in the database. */
export class UnknownPortalError extends Error {
  override readonly name = 'UnknownPortalError';
  readonly code = 'NOT_INSTALLED';
  readonly recovery = 'never';

  constructor(readonly memberId: string) {
    super('There is no such portal');
  }
}

/** Much longer than the time between two statements of a transaction. */
const IDLE_TIMEOUT_MS = 10_000;

/** Job queue per consumer and portal: requests jobs and reports their progress. */
export class PortalJobs {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * Enqueues a job. An equal waiting job is returned instead; an equal running job is rerun when it ends, because it
   * may have passed the data that the request concerns.
   * @param consumer the service that runs it
   * @throws UnknownPortalError
   */
  async request(
    consumer: string,
    memberId: string,
    kind: string,
    priority: JobPriority = 'background',
  ): Promise<PortalJob> {
    const [job] = await this.requestAll(consumer, [memberId], kind, priority);
    if (!job) throw new UnknownPortalError(memberId);
    return job;
  }

  /** Like `request`, for many portals. @returns the jobs of those that are known */
  async requestAll(
    consumer: string,
    memberIds: readonly string[],
    kind: string,
    priority: JobPriority = 'background',
  ): Promise<PortalJob[]> {
    return await this.dataSource.transaction(async (manager) => {
      // A process that stalls must not keep the rows locked.
      await manager.query(`SET LOCAL idle_in_transaction_session_timeout = ${IDLE_TIMEOUT_MS}`);
      await manager.query(
        `DELETE FROM portals.tasks WHERE id IN (
           SELECT id FROM portals.tasks WHERE id IN (
             SELECT id FROM (
               SELECT id, ended_at, row_number() OVER (PARTITION BY member_id, kind ORDER BY requested_at DESC) AS rank
               FROM portals.tasks WHERE consumer = $1 AND member_id = ANY ($2) AND state IN ('done', 'failed')) ended
             WHERE rank > $4 OR ended_at < now() - make_interval(days => $3))
           FOR UPDATE SKIP LOCKED)`,
        [consumer, memberIds, KEPT_DAYS, MAX_KEPT],
      );
      return await manager.query<PortalJob[]>(
        `INSERT INTO portals.tasks AS pending (consumer, member_id, kind, priority)
         SELECT $1, member_id, $3, $4 FROM portals.portals WHERE member_id = ANY ($2) ORDER BY member_id
         ON CONFLICT (consumer, member_id, kind) WHERE state IN ('waiting', 'running') DO UPDATE SET
           again = pending.state = 'running',
           restart = pending.state = 'running' AND (pending.restart OR excluded.priority > 0),
           priority = greatest(pending.priority, excluded.priority),
           due_at = CASE pending.state WHEN 'waiting' THEN least(pending.due_at, clock_timestamp()) ELSE pending.due_at END
         RETURNING ${JOB_COLUMNS}`,
        [consumer, memberIds, kind, PRIORITIES[priority]],
      );
    });
  }

  /** The latest job of each kind at this portal, most recently requested first. */
  async latest(consumer: string, memberId: string): Promise<PortalJob[]> {
    const jobs = await this.dataSource.query<PortalJob[]>(
      `SELECT DISTINCT ON (kind) ${JOB_COLUMNS} FROM portals.tasks
       WHERE consumer = $1 AND member_id = $2 ORDER BY kind, requested_at DESC`,
      [consumer, memberId],
    );
    return jobs.toSorted((a, b) => b.requestedAt.getTime() - a.requestedAt.getTime());
  }

  /** @param kinds the kinds of ended jobs to list */
  async overview(consumer: string, kinds: readonly string[]): Promise<JobOverview> {
    const columns = `${JOB_COLUMNS}, state = 'running' AND lease_until < clock_timestamp() AS "isSilent",
      (SELECT domain FROM portals.portals portal WHERE portal.member_id = one.member_id)`;
    const jobs = await this.dataSource.query<JobOverview['tasks']>(
      `(SELECT ${columns} FROM portals.tasks one
        WHERE consumer = $1 AND state IN ('waiting', 'running') ORDER BY state, due_at, id LIMIT $3)
       UNION ALL
       (SELECT ${columns} FROM portals.tasks one
        WHERE consumer = $1 AND state IN ('done', 'failed') AND kind = ANY ($2)
          AND NOT EXISTS (
            SELECT FROM portals.tasks later
            WHERE later.member_id = one.member_id AND later.consumer = $1 AND later.kind = one.kind
              AND later.requested_at > one.requested_at)
        ORDER BY ended_at DESC LIMIT $4)`,
      [consumer, kinds, OVERVIEW_PENDING, OVERVIEW_ENDED],
    );
    const [counts] = await this.dataSource.query<Pick<JobOverview, 'running' | 'waiting'>[]>(
      `SELECT count(*) FILTER (WHERE state = 'running')::int AS running,
         count(*) FILTER (WHERE state = 'waiting')::int AS waiting
       FROM portals.tasks WHERE consumer = $1 AND state IN ('waiting', 'running')`,
      [consumer],
    );
    return { running: 0, waiting: 0, ...counts, tasks: jobs };
  }

  /**
   * How fresh the results of these jobs are at the installed portals for which some were requested.
   * @param kinds of which each that is done brings everything up to date
   */
  async freshness(consumer: string, kinds: readonly string[]): Promise<JobFreshness> {
    const [found] = await this.dataSource.query<JobFreshness[]>(
      `SELECT coalesce(extract(epoch FROM clock_timestamp() - min(coalesce(done.ended_at, first.requested_at))), 0)::float8
           AS "lagSeconds",
         count(*) FILTER (WHERE last.state = 'failed')::int AS failed
       FROM portals.portals portal
         CROSS JOIN LATERAL (
           SELECT requested_at FROM portals.tasks t WHERE t.member_id = portal.member_id AND consumer = $1 AND kind = ANY ($2)
           ORDER BY requested_at LIMIT 1) first
         LEFT JOIN LATERAL (
           SELECT state FROM portals.tasks t WHERE t.member_id = portal.member_id AND consumer = $1 AND kind = ANY ($2)
             AND state IN ('done', 'failed') ORDER BY requested_at DESC LIMIT 1) last ON true
         LEFT JOIN LATERAL (
           SELECT ended_at FROM portals.tasks t WHERE t.member_id = portal.member_id AND consumer = $1 AND kind = ANY ($2)
             AND state = 'done' ORDER BY requested_at DESC LIMIT 1) done ON true
       WHERE portal.state = 'installed'`,
      [consumer, kinds],
    );
    return found ?? { lagSeconds: 0, failed: 0 };
  }

  /** Makes the waiting retries of these portals due now, for all consumers. */
  async wake(memberIds: ReadonlySet<string>): Promise<void> {
    await this.dataSource.query(
      `UPDATE portals.tasks SET due_at = clock_timestamp()
       WHERE member_id = ANY ($1) AND state = 'waiting' AND due_at > clock_timestamp()`,
      [[...memberIds]],
    );
  }

  /** Undefined for an unknown id, or after the retention time. */
  async find(id: string): Promise<PortalJob | undefined> {
    const [job] = await this.dataSource.query<PortalJob[]>(
      `SELECT ${JOB_COLUMNS} FROM portals.tasks WHERE id = $1`,
      [id],
    );
    return job;
  }
}

/** The job queue for the whole application. Needs a DataSource. */
@Module({
  providers: [
    {
      provide: PortalJobs,
      useFactory: (dataSource: DataSource) => new PortalJobs(dataSource),
      inject: [DataSource],
    },
  ],
  exports: [PortalJobs],
})
export class JobsModule {}
