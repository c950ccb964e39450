import { Bitrix24Error } from '@relay/bitrix24';
import type { PortalJobs } from '@relay/jobs';
import type { PortalQuery } from '@relay/portals';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';

export interface SyncRouteParts {
  portals: PortalQuery;
  tasks: PortalJobs;
}

/** The consumer that runs these jobs, and reports its progress through the database. */
const CONSUMER = 'smart-process-sync';
/** Its jobs for items; the count of cast failures that follows each of them is not shown. */
const KINDS = ['complete', 'backfill', 'reconcile'];

const path = z.object({ memberId: z.string().regex(/^[\w-]{1,64}$/, 'is no member_id') });
const taskPath = path.extend({ kind: z.enum(['backfill', 'reconcile']) });

/** Operator routes for the mirror: of all portals, or of one. */
export function addSyncRoutes(api: FastifyInstance, { portals, tasks }: SyncRouteParts): void {
  api.post('/ops/api/sync/:memberId/:kind', async (request, reply) => {
    const { memberId, kind } = taskPath.parse(request.params);
    return reply.code(202).send({ task: await tasks.request(CONSUMER, memberId, kind) });
  });
  api.get('/ops/api/sync', async () => tasks.overview(CONSUMER, KINDS));
  api.get('/ops/api/sync/:memberId', async (request) => {
    const { memberId } = path.parse(request.params);
    const known = (await portals.all()).some((portal) => portal.memberId === memberId);
    if (!known) throw new Bitrix24Error('NOT_INSTALLED', { memberId });
    return { tasks: await tasks.latest(CONSUMER, memberId) };
  });
}
