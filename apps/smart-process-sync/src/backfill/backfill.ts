import { Inject, Injectable } from '@nestjs/common';
import { CONSUMER_LOG } from '@relay/consumer';
import type { JobProgress, JobRun } from '@relay/jobs';
import { counter, type Log } from '@relay/platform';
import { inTransaction, PortalClients } from '@relay/portals';
import { DataSource } from 'typeorm';
import { ALL_FIELDS, toItemRow } from '../items/item-row.js';
import { itemsTotal, MirrorStore } from '../items/mirror-store.js';
import { throwIfTransient } from '../items/error-scope.js';
import { type ScanPage, scan, type ScanOptions } from '../keyset-scan/keyset-scan.js';
import { TypeStore } from '../smart-process-types/type-store.js';
import { Progress, Reporter, track } from './progress.js';
import { TypeRefresh, type RefreshedType } from './type-refresh.js';

const unreadableTotal = counter({
  name: 'relay_sync_unreadable_total',
  help: 'Items that a backfill or a reconciliation skipped, because the portal could not return them',
});

/**
 * Fills the mirror of a portal from the beginning: all items of its types by ascending id, with background priority.
 * Each page is stored in one transaction with its checkpoint, so a killed backfill continues there. Events that come
 * meanwhile win, because their reads begin later.
 */
@Injectable()
export class Backfill {
  constructor(
    private readonly source: DataSource,
    private readonly clients: PortalClients,
    private readonly refresh: TypeRefresh,
    private readonly types: TypeStore,
    private readonly store: MirrorStore,
    @Inject(CONSUMER_LOG) private readonly log: Log,
  ) {}

  /** Reads every type that no backfill has read completely since the job was requested. */
  async all(run: JobRun): Promise<JobProgress> {
    return await this.run(run, ({ backfilledAt }) => !backfilledAt || backfilledAt < run.job.requestedAt);
  }

  /** Reads every type that no backfill has read completely yet: those of a new portal, new types. */
  async missing(run: JobRun): Promise<JobProgress> {
    return await this.run(run, ({ backfilledAt }) => !backfilledAt);
  }

  private async run(run: JobRun, isDue: (type: RefreshedType) => boolean): Promise<JobProgress> {
    const { memberId } = run.job;
    const { types, leftOut, failures } = await this.refresh.refresh(memberId, run.signal);
    const progress = new Progress();
    const lost = await this.fill(run, types.filter(isDue), progress);
    // One of them may be deleted, which the portal's list shows.
    if (lost.size > 0) await this.refresh.refresh(memberId, run.signal);
    throwIfTransient([...failures, ...lost.values()]);
    return { ...progress.toJSON(), lost: [...lost.keys()], leftOut: leftOut.counts };
  }

  /** @returns the types that could not be read completely, and why */
  async fill(
    run: JobRun,
    types: readonly RefreshedType[],
    progress: Progress,
  ): Promise<Map<number, unknown>> {
    const { memberId } = run.job;
    const runs = new Map<number, string>();
    const cursors = [];
    for (const type of types) {
      const { entityTypeId, lastId, title } = type;
      const [backfillRun, after, items] = await this.beginOrResume(memberId, type);
      runs.set(entityTypeId, backfillRun);
      progress.open({ entityTypeId, title, items, after, lastId, isDone: false });
      cursors.push({ entityTypeId, after, lastId });
    }
    const reporter = new Reporter(progress, run.report, (state) =>
      this.log.info({ memberId, ...state }, 'backfill continues'),
    );
    const lost = new Map<number, unknown>();
    const options: ScanOptions = {
      client: this.clients.for(memberId, { priority: 'background' }),
      types: cursors,
      select: ALL_FIELDS,
      beginRead: (entityTypeId) => this.store.beginRead(memberId, entityTypeId),
      onPage: async (page) => {
        await this.savePage(memberId, runs.get(page.entityTypeId) ?? '0', page);
        progress.advance(page.entityTypeId, page.items.length, page.last, page.isEnd);
        progress.found.unreadable += page.unreadable.length;
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
    await track('backfill', progress, () => scan(options));
    return lost;
  }

  /** Continues the current run; after a complete one, starts again. */
  private async beginOrResume(
    memberId: string,
    { entityTypeId, backfillRun, backfilledAt, backfillAfter, backfillItems }: RefreshedType,
  ): Promise<[run: string, after: string, items: number]> {
    if (backfillRun !== null && backfilledAt === null) return [backfillRun, backfillAfter, backfillItems];
    const run = await this.store.latestRead();
    await this.types.beginBackfill(memberId, entityTypeId, run);
    return [run, '0', 0];
  }

  private async savePage(memberId: string, run: string, page: ScanPage): Promise<void> {
    const { entityTypeId, after, last, items, unreadable, read, isEnd } = page;
    const rows = items.map((item) => toItemRow(String(item.id), item));
    await inTransaction(this.source, async (manager) => {
      await this.store.saveItems(read, rows, manager);
      const checkpoint = { entityTypeId, run, after, last, items: items.length };
      await this.types.checkpoint(manager, memberId, checkpoint);
    });
    if (isEnd) await this.types.endBackfill(memberId, entityTypeId, run);
    itemsTotal.inc({ work: 'backfill' }, items.length);
    if (unreadable.length === 0) return;
    unreadableTotal.inc(unreadable.length);
    this.log.warn(
      { event: 'sync.items.unreadable', memberId, entityTypeId, ids: unreadable },
      'the portal could not return some items; they are skipped',
    );
  }
}
