import { portalPath, syncJobPath } from '@relay/admin-contract';
import type { portalSyncResponse, Sent, syncJobResponse, syncResponse } from '@relay/admin-contract';
import { Bitrix24Error } from '@relay/bitrix24';
import type { PortalJobs } from '@relay/jobs';
import type { PortalQuery } from '@relay/portals';
import type { FastifyInstance } from 'fastify';

export interface SyncRouteParts {
  portals: PortalQuery;
  jobs: PortalJobs;
}

/** The consumer that runs these jobs, and reports its progress through the database. */
export const MIRROR_CONSUMER = 'smart-process-sync';
/** Its jobs for items; the count of cast failures that follows each of them is not shown. */
export const MIRROR_KINDS = ['complete', 'backfill', 'reconcile'];

/** Operator routes for the mirror: of all portals, or of one. */
export function addSyncRoutes(api: FastifyInstance, { portals, jobs }: SyncRouteParts): void {
  api.post('/ops/api/sync/:memberId/:kind', async (request, reply): Promise<Sent<typeof syncJobResponse>> => {
    const { memberId, kind } = syncJobPath.parse(request.params);
    const task = await jobs.request(MIRROR_CONSUMER, memberId, kind);
    void reply.code(202);
    return { task };
  });
  api.get('/ops/api/sync', async (): Promise<Sent<typeof syncResponse>> =>
    jobs.overview(MIRROR_CONSUMER, MIRROR_KINDS),
  );
  api.get('/ops/api/sync/:memberId', async (request): Promise<Sent<typeof portalSyncResponse>> => {
    const { memberId } = portalPath.parse(request.params);
    const known = (await portals.all()).some((portal) => portal.memberId === memberId);
    if (!known) throw new Bitrix24Error('NOT_INSTALLED', { memberId });
    return { tasks: await jobs.latest(MIRROR_CONSUMER, memberId) };
  });
}
