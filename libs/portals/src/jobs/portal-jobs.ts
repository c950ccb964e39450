import type { DataSource } from 'typeorm';
import type { TaskState } from '../entities.js';
import { notInstalled } from '../errors.js';
import { inTransaction } from '../in-transaction.js';

/** What a consumer says of a task while it does it, and at the end what came of it. Of its own making, no secrets. */
export type JobProgress = Record<string, unknown>;

/** Work on one portal that somebody asked a consumer for: an operator, or a schedule. */
export interface PortalJob {
  id: string;
  consumer: string;
  memberId: string;
  kind: string;
  state: TaskState;
  progress: JobProgress;
  /** Why it failed, or is tried again. */
  error: string | null;
  /** Failures since it last got on. */
  attempts: number;
  /** How often its process ended or stood still in the middle of it, without an end of the task between. */
  lostLeases: number;
  requestedAt: Date;
  startedAt: Date | null;
  endedAt: Date | null;
}

/** The work at all portals, for somebody who looks at all of it. */
export interface JobOverview {
  /** How many there are, shown or not. */
  running: number;
  waiting: number;
  /** Running ones first, then those that wait, then those that ended last: of each kind and portal the last one. */
  tasks: (PortalJob & {
    domain: string;
    /** It is running, and its process has not been heard of: another one will go on with it. */
    isSilent: boolean;
  })[];
}

export const JOB_COLUMNS = `id, consumer, member_id AS "memberId", kind, state, progress, error, attempts, lost_leases AS "lostLeases",
  requested_at AS "requestedAt", started_at AS "startedAt", ended_at AS "endedAt"`;

/** Long enough to see what the schedule did; short enough that nobody has to clean up. */
const KEPT_DAYS = 30;

/** So that an overview of thousands of portals can be read, and asked for every few seconds. */
const OVERVIEW_PENDING = 100;
const OVERVIEW_ENDED = 50;

/** The work that consumers are asked for, portal by portal: who asks, and who wants to know how far it is. */
export class PortalJobs {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * Asks for the work. While the same is waiting already, that one is the answer; while it is running, it starts
   * once more when it ends, since it may have passed by what is meant.
   * @throws Bitrix24Error NOT_INSTALLED for a portal that is unknown
   */
  async request(consumer: string, memberId: string, kind: string): Promise<PortalJob> {
    return await inTransaction(this.dataSource, async (manager) => {
      await manager.query(
        `DELETE FROM portals.tasks WHERE consumer = $1 AND member_id = $2
           AND ended_at < now() - make_interval(days => $3) AND state IN ('done', 'failed')`,
        [consumer, memberId, KEPT_DAYS],
      );
      const [task] = await manager.query<PortalJob[]>(
        `INSERT INTO portals.tasks AS pending (consumer, member_id, kind)
         SELECT $1, member_id, $3 FROM portals.portals WHERE member_id = $2
         ON CONFLICT (consumer, member_id, kind) WHERE state IN ('waiting', 'running') DO UPDATE SET
           again = pending.state = 'running',
           due_at = CASE pending.state WHEN 'waiting' THEN least(pending.due_at, clock_timestamp()) ELSE pending.due_at END
         RETURNING ${JOB_COLUMNS}`,
        [consumer, memberId, kind],
      );
      if (!task) throw notInstalled(memberId);
      return task;
    });
  }

  /** The last task of each kind at this portal, the one asked for last first. */
  async latest(consumer: string, memberId: string): Promise<PortalJob[]> {
    const tasks = await this.dataSource.query<PortalJob[]>(
      `SELECT DISTINCT ON (kind) ${JOB_COLUMNS} FROM portals.tasks
       WHERE consumer = $1 AND member_id = $2 ORDER BY kind, requested_at DESC`,
      [consumer, memberId],
    );
    return tasks.toSorted((a, b) => b.requestedAt.getTime() - a.requestedAt.getTime());
  }

  /** @param kinds of those that have ended, what is worth a look */
  async overview(consumer: string, kinds: readonly string[]): Promise<JobOverview> {
    const columns = `${JOB_COLUMNS}, state = 'running' AND lease_until < clock_timestamp() AS "isSilent",
      (SELECT domain FROM portals.portals portal WHERE portal.member_id = one.member_id)`;
    const tasks = await this.dataSource.query<JobOverview['tasks']>(
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
    return { running: 0, waiting: 0, ...counts, tasks };
  }

  /** What is to be tried again later at these portals, by whichever consumer, is due now. */
  async wake(memberIds: ReadonlySet<string>): Promise<void> {
    await this.dataSource.query(
      `UPDATE portals.tasks SET due_at = clock_timestamp()
       WHERE member_id = ANY ($1) AND state = 'waiting' AND due_at > clock_timestamp()`,
      [[...memberIds]],
    );
  }

  /** Undefined when there is none, or it was long ago. */
  async find(id: string): Promise<PortalJob | undefined> {
    const [task] = await this.dataSource.query<PortalJob[]>(
      `SELECT ${JOB_COLUMNS} FROM portals.tasks WHERE id = $1`,
      [id],
    );
    return task;
  }
}
