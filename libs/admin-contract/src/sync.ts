import { z } from 'zod';
import { portalPath } from './portals.js';

const job = z.object({
  id: z.string(),
  consumer: z.string(),
  memberId: z.string(),
  kind: z.string(),
  state: z.enum(['waiting', 'running', 'done', 'failed']),
  /** Progress, and at the end the result. The consumer defines the shape: read it with `progressOf`. */
  progress: z.record(z.string(), z.unknown()),
  /** Why it failed or is retried. */
  error: z.string().nullable(),
  /** Failures since the last progress. */
  attempts: z.number(),
  isInteractive: z.boolean(),
  /** How often its process ended or stalled during the job, since the job last ended. */
  lostLeases: z.number(),
  requestedAt: z.string(),
  startedAt: z.string().nullable(),
  endedAt: z.string().nullable(),
});
export type SyncJob = z.output<typeof job>;

/** `POST /ops/api/sync/:memberId/:kind` */
export const syncJobPath = portalPath.extend({ kind: z.enum(['backfill', 'reconcile']) });
export type SyncJobKind = z.output<typeof syncJobPath>['kind'];
export const syncJobResponse = z.object({ task: job });

/** `GET /ops/api/sync/:memberId`: of each kind the latest */
export const portalSyncResponse = z.object({ tasks: z.array(job) });
export type PortalSyncResponse = z.output<typeof portalSyncResponse>;

/** `GET /ops/api/sync` */
export const syncResponse = z.object({
  /** Total counts, also of jobs that `tasks` does not list. */
  running: z.number(),
  waiting: z.number(),
  /** Running jobs first, then waiting ones, then the most recently ended: of each kind and portal the latest. */
  tasks: z.array(
    job.extend({
      domain: z.string(),
      /** It is running with an expired lease: another process will continue it. */
      isSilent: z.boolean(),
    }),
  ),
});
export type SyncResponse = z.output<typeof syncResponse>;
export type ListedSyncJob = SyncResponse['tasks'][number];
