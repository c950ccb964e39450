import { Inject, Injectable } from '@nestjs/common';
import { CONSUMER_LOG } from '@relay/consumer';
import type { Log } from '@relay/platform';
import { type JobProgress, type JobRun } from '@relay/jobs';
import { inTransaction, PortalClients } from '@relay/portals';
import { DataSource } from 'typeorm';
import { ALL_FIELDS } from '../items.controller.js';
import { toItemRow } from '../item-row.js';
import { throwIfTransient } from '../error-scope.js';
import { itemsTotal, unreadableTotal } from '../metrics.js';
import { MirrorStore } from '../mirror-store.js';
import { Progress, Reporter } from '../progress.js';
import { TypeRefresh, type RefreshedType } from '../types/type-refresh.js';
import { TypeStore } from '../types/type-store.js';
import { track } from '../running-jobs.js';
import { type ScanPage, scan, type ScanOptions } from '../keyset-scan/keyset-scan.js';

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

  /** Reads everything again that was not read since the job was requested. */
  async all(run: JobRun): Promise<JobProgress> {
    return await this.run(run, ({ backfilledAt }) => !backfilledAt || backfilledAt < run.task.requestedAt);
  }

  /** Reads what no backfill has read yet: a new portal, a new type. */
  async missing(run: JobRun): Promise<JobProgress> {
    return await this.run(run, ({ backfilledAt }) => !backfilledAt);
  }

  private async run(run: JobRun, isDue: (type: RefreshedType) => boolean): Promise<JobProgress> {
    const { memberId } = run.task;
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
    const { memberId } = run.task;
    const runs = new Map<number, string>();
    const ways = [];
    for (const type of types) {
      const { entityTypeId, lastId, title } = type;
      const [backfillRun, after, items] = await this.beginOrResume(memberId, type);
      runs.set(entityTypeId, backfillRun);
      progress.open({ entityTypeId, title, items, after, lastId, isDone: false });
      ways.push({ entityTypeId, after, lastId });
    }
    const reporter = new Reporter(progress, run.report, (said) =>
      this.log.info({ memberId, ...said }, 'backfill'),
    );
    const lost = new Map<number, unknown>();
    const options: ScanOptions = {
      client: this.clients.for(memberId, { work: 'bulk' }),
      types: ways,
      select: ALL_FIELDS,
      beginRead: (entityTypeId) => this.store.beginRead(memberId, entityTypeId),
      onPage: async (chunk) => {
        await this.savePage(memberId, runs.get(chunk.entityTypeId) ?? '0', chunk);
        progress.advance(chunk.entityTypeId, chunk.items.length, chunk.last, chunk.isEnd);
        progress.found.unreadable += chunk.unreadable.length;
        await reporter.reportProgress();
      },
      onTypeUnavailable: (entityTypeId, err) => {
        lost.set(entityTypeId, err);
        this.log.warn({ memberId, entityTypeId, err }, 'a smart process cannot be read to its end');
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

  private async savePage(memberId: string, run: string, chunk: ScanPage): Promise<void> {
    const { entityTypeId, after, last, items, unreadable, read, isEnd } = chunk;
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
    this.log.warn({ memberId, entityTypeId, ids: unreadable }, 'items that the portal could not give');
  }
}
