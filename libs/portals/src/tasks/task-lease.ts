import type { DataSource } from 'typeorm';
import { type PortalTask, taskColumns, type TaskProgress } from './portal-tasks.js';

/** What a failure leads to. `afterMs` from now; `counts` as an attempt. */
export type TaskVerdict = { again: true; afterMs: number; counts: boolean } | { again: false };

export interface LeaseOptions {
  consumer: string;
  kinds: readonly string[];
  /** Of this process: one that was given back and taken again is not taken for the first. */
  owner: string;
  leaseMs: number;
}

/** The statements by which processes share tasks: a lease is lost when it is not extended, and its task taken by another. */
export class TaskLeases {
  constructor(
    private readonly dataSource: DataSource,
    private readonly options: LeaseOptions,
  ) {}

  /**
   * The task that has waited longest, or whose owner is silent; no second one of a portal that is being worked on.
   * @returns undefined when there is nothing to do
   */
  async take(): Promise<PortalTask | undefined> {
    const { consumer, kinds, owner, leaseMs } = this.options;
    const [[task]] = await this.dataSource.query<[PortalTask[], number]>(
      `UPDATE portals.tasks SET state = 'running', owner = $3, ended_at = NULL,
         lease_until = clock_timestamp() + make_interval(secs => $4 / 1000.0),
         started_at = coalesce(started_at, clock_timestamp())
       WHERE id = (
         SELECT id FROM portals.tasks due
         WHERE consumer = $1 AND kind = ANY ($2)
           AND ((state = 'waiting' AND due_at <= clock_timestamp())
             OR (state = 'running' AND lease_until < clock_timestamp()))
           AND NOT EXISTS (
             SELECT FROM portals.tasks other
             WHERE other.consumer = due.consumer AND other.member_id = due.member_id AND other.id <> due.id
               AND other.state = 'running' AND other.lease_until >= clock_timestamp())
         ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
       RETURNING ${taskColumns}`,
      [consumer, kinds, owner, leaseMs],
    );
    return task;
  }

  /** @returns false when another process has the task by now */
  async extend(id: string): Promise<boolean> {
    return await this.#change(id, `lease_until = clock_timestamp() + make_interval(secs => $3 / 1000.0)`, [
      this.options.leaseMs,
    ]);
  }

  /** Who gets on has not failed in vain before. */
  async report(id: string, progress: TaskProgress): Promise<boolean> {
    return await this.#change(id, 'progress = $3::jsonb, attempts = 0, error = NULL', [
      JSON.stringify(progress),
    ]);
  }

  async done(id: string, progress: TaskProgress): Promise<void> {
    await this.#change(
      id,
      `owner = NULL, lease_until = NULL, attempts = 0, error = NULL,
       progress = CASE WHEN again THEN '{}' ELSE $3::jsonb END,
       state = CASE WHEN again THEN 'waiting' ELSE 'done' END, again = false, due_at = clock_timestamp(),
       started_at = CASE WHEN again THEN NULL ELSE started_at END, ended_at = clock_timestamp()`,
      [JSON.stringify(progress)],
    );
  }

  async failed(id: string, error: string, verdict: TaskVerdict): Promise<void> {
    await this.#change(
      id,
      `owner = NULL, lease_until = NULL, error = $3, attempts = attempts + $4, again = false,
       state = CASE WHEN $5 OR again THEN 'waiting' ELSE 'failed' END, ended_at = clock_timestamp(),
       due_at = clock_timestamp() + make_interval(secs => $6 / 1000.0)`,
      [
        error,
        verdict.again && verdict.counts ? 1 : 0,
        verdict.again,
        verdict.again ? Math.ceil(verdict.afterMs) : 0,
      ],
    );
  }

  /** For the next process, at once: this one ends. */
  async giveBack(id: string): Promise<void> {
    await this.#change(
      id,
      `owner = NULL, lease_until = NULL, state = 'waiting', due_at = clock_timestamp()`,
      [],
    );
  }

  async #change(id: string, changes: string, parameters: unknown[]): Promise<boolean> {
    const [, changed] = await this.dataSource.query<[unknown[], number]>(
      `UPDATE portals.tasks SET ${changes} WHERE id = $1 AND owner = $2 AND state = 'running'`,
      [id, this.options.owner, ...parameters],
    );
    return changed > 0;
  }
}
