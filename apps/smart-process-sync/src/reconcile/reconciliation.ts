import { Inject, Injectable } from '@nestjs/common';
import { CONSUMER_LOG } from '@relay/consumer';
import type { JobProgress, JobRun } from '@relay/jobs';
import type { Log } from '@relay/platform';
import { PortalClients } from '@relay/portals';
import { Backfill } from '../backfill/backfill.js';
import { Progress, Reporter, track } from '../backfill/progress.js';
import { type RefreshedType, TypeRefresh } from '../backfill/type-refresh.js';
import { MirrorStore } from '../items/mirror-store.js';
import { throwIfTransient } from '../items/error-scope.js';
import { scan, type ScanOptions } from '../keyset-scan/keyset-scan.js';
import { TypeStore } from '../smart-process-types/type-store.js';
import { RepairStep } from './repair-step.js';

/** The fields of an item that a comparison needs. */
const COMPARED_FIELDS = ['id', 'updatedTime'];

/**
 * Repairs what events missed: scans the ids and change times of all items, reads those that differ, and finds out whether
 * unlisted items are deleted or hidden. After a crash it continues at its last reported progress.
 */
@Injectable()
export class Reconciliation {
  constructor(
    private readonly clients: PortalClients,
    private readonly refresh: TypeRefresh,
    private readonly backfill: Backfill,
    private readonly types: TypeStore,
    private readonly store: MirrorStore,
    private readonly repairStep: RepairStep,
    @Inject(CONSUMER_LOG) private readonly log: Log,
  ) {}

  /** @returns the number of differences, by kind */
  async run(run: JobRun): Promise<JobProgress> {
    const { memberId } = run.job;
    const { types, leftOut, failures } = await this.refresh.refresh(memberId, run.signal);
    const [filled, unfilled] = [types.filter(isFilled), types.filter((type) => !isFilled(type))];
    const lost = await this.backfill.fill(run, unfilled, new Progress());
    const progress = new Progress(run.job.progress);
    for (const [entityTypeId, error] of await this.scan(run, filled, progress)) lost.set(entityTypeId, error);
    if (lost.size > 0) await this.refresh.refresh(memberId, run.signal);
    for (const { entityTypeId } of types) await this.types.recordReconciled(memberId, entityTypeId);
    throwIfTransient([...failures, ...lost.values()]);
    return { ...progress.toJSON(), lost: [...lost.keys()], leftOut: leftOut.counts };
  }

  private async scan(
    run: JobRun,
    types: readonly RefreshedType[],
    progress: Progress,
  ): Promise<Map<number, unknown>> {
    const { memberId } = run.job;
    const client = this.clients.for(memberId, { priority: 'background' });
    const lost = new Map<number, unknown>();
    const reporter = new Reporter(progress, run.report, (state) =>
      this.log.info({ memberId, ...state }, 'reconciliation continues'),
    );
    const cursors = types
      .map(({ entityTypeId, title, lastId }) =>
        progress.open({ entityTypeId, title, items: 0, after: '0', lastId, isDone: false }),
      )
      .filter(({ isDone }) => !isDone);
    const options: ScanOptions = {
      client,
      types: cursors,
      select: COMPARED_FIELDS,
      beginRead: (entityTypeId) => this.store.beginRead(memberId, entityTypeId),
      onPage: async (page) => {
        await this.repairStep.repair(client, page, progress.found, run.signal);
        progress.advance(page.entityTypeId, page.items.length, page.last, page.isEnd);
        await reporter.reportProgress();
      },
      onTypeUnavailable: (entityTypeId, err) => {
        lost.set(entityTypeId, err);
        this.log.warn(
          { event: 'sync.type.unreadable', memberId, entityTypeId, err },
          'a smart process cannot be read completely',
        );
      },
      signal: run.signal,
    };
    await track('reconcile', progress, () => scan(options));
    return lost;
  }
}

function isFilled({ backfilledAt }: RefreshedType): boolean {
  return backfilledAt !== null;
}
