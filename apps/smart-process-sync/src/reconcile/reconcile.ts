import { Inject, Injectable } from '@nestjs/common';
import { Bitrix24Error, type PortalClient, readItems } from '@relay/bitrix24';
import { CONSUMER_LOG } from '@relay/consumer';
import type { Log } from '@relay/platform';
import { PortalClients, type TaskProgress, type TaskRun } from '@relay/portals';
import { Backfill } from '../backfill/backfill.js';
import { type ItemRow, toItemRow } from '../item-row.js';
import { ALL_FIELDS } from '../items.controller.js';
import { foundTotal, itemsTotal } from '../metrics.js';
import { MirrorStore } from '../mirror-store.js';
import { type Found, Progress, Reporter } from '../progress.js';
import { type RefreshedType, TypeRefresh } from '../types/type-refresh.js';
import { TypeStore } from '../types/type-store.js';
import { Misfits } from '../views/misfits.js';
import { type Chunk, walk } from '../walk/walk.js';
import { Comparison, type Difference } from './compare.js';
import { settleAbsent } from './settle-absent.js';

/** What a comparison needs of an item. */
const COMPARED_FIELDS = ['id', 'updatedTime'];

/**
 * Makes good what no event told: walks the ids and times of change of all items, reads what is different, and finds out
 * what became of items that the portal does not list any more. A killed one goes on where it was last reported to be.
 */
@Injectable()
export class Reconciliation {
  constructor(
    private readonly clients: PortalClients,
    private readonly refresh: TypeRefresh,
    private readonly backfill: Backfill,
    private readonly types: TypeStore,
    private readonly store: MirrorStore,
    private readonly comparison: Comparison,
    private readonly misfits: Misfits,
    @Inject(CONSUMER_LOG) private readonly log: Log,
  ) {}

  /** @returns what it found, by what was wrong with it */
  async run(run: TaskRun): Promise<TaskProgress> {
    const { memberId } = run.task;
    const types = await this.refresh.refresh(memberId, run.signal);
    const [filled, empty] = [types.filter(isFilled), types.filter((type) => !isFilled(type))];
    const lost = await this.backfill.fill(run, empty, new Progress());
    const progress = new Progress(run.task.progress);
    lost.push(...(await this.walk(run, filled, progress)));
    if (lost.length > 0) await this.refresh.refresh(memberId, run.signal);
    for (const { entityTypeId } of types) await this.types.noteReconciled(memberId, entityTypeId);
    await this.misfits.count(memberId, types);
    return { ...progress.toJSON(), lost };
  }

  private async walk(run: TaskRun, types: readonly RefreshedType[], progress: Progress): Promise<number[]> {
    const { memberId } = run.task;
    const client = this.clients.for(memberId, { work: 'bulk' });
    const lost: number[] = [];
    const reporter = new Reporter(progress, run.report, (said) =>
      this.log.info({ memberId, ...said }, 'reconciliation'),
    );
    const ways = types
      .map(({ entityTypeId, title, lastId }) =>
        progress.open({ entityTypeId, title, items: 0, after: '0', lastId, isDone: false }),
      )
      .filter(({ isDone }) => !isDone);
    await walk({
      client,
      types: ways,
      select: COMPARED_FIELDS,
      beginRead: (entityTypeId) => this.store.beginRead(memberId, entityTypeId),
      onChunk: async (chunk) => {
        await this.mend(client, chunk, progress.found, run.signal);
        progress.advance(chunk.entityTypeId, chunk.items.length, chunk.last, chunk.isEnd);
        await reporter.say();
      },
      onLost: (entityTypeId, err) => {
        lost.push(entityTypeId);
        this.log.warn({ memberId, entityTypeId, err }, 'a smart process cannot be read to its end');
      },
      signal: run.signal,
    });
    return lost;
  }

  private async mend(client: PortalClient, chunk: Chunk, found: Found, signal: AbortSignal): Promise<void> {
    const { memberId, entityTypeId } = chunk.read;
    const differences = await this.comparison.of(chunk);
    const ids = (what: Difference): string[] => differences.get(what) ?? [];
    const toRead = [...ids('missing'), ...ids('stale'), ...ids('unsettled')];
    const gone = await this.readAgain(client, memberId, entityTypeId, toRead, found, signal);
    const wasHidden = new Set(ids('hidden'));
    const absent = [...ids('absent'), ...wasHidden, ...gone];
    const settled = await settleAbsent(this.store, client, { memberId, entityTypeId, ids: absent }, signal);
    for (const error of settled.failed.values()) throwIfPassing(error);
    found.unreadable += settled.failed.size;
    const counted = {
      missing: ids('missing').length + settled.found.length,
      stale: ids('stale').length,
      deleted: settled.deleted.length,
      hidden: settled.hidden.filter((id) => !wasHidden.has(id)).length,
    };
    for (const [what, count] of Object.entries(counted)) foundTotal.inc({ what }, count);
    found.missing += counted.missing;
    found.stale += counted.stale;
    found.deleted += counted.deleted;
    found.hidden += counted.hidden;
    found.rechecked += ids('unsettled').length;
  }

  /** @returns what is not listed any more by now */
  private async readAgain(
    client: PortalClient,
    memberId: string,
    entityTypeId: number,
    ids: readonly string[],
    found: Found,
    signal: AbortSignal,
  ): Promise<string[]> {
    if (ids.length === 0) return [];
    const read = await this.store.beginRead(memberId, entityTypeId);
    const rows: ItemRow[] = [];
    const absent: string[] = [];
    for (const [, outcomes] of await readItems(client, [{ entityTypeId, ids, select: ALL_FIELDS }], {
      signal,
    })) {
      for (const [id, outcome] of outcomes) {
        if (outcome.state === 'found') rows.push(toItemRow(id, outcome.item));
        else if (outcome.state === 'absent') absent.push(id);
        else {
          throwIfPassing(outcome.error);
          found.unreadable += 1;
        }
      }
    }
    await this.store.saveItems(read, rows);
    itemsTotal.inc({ work: 'reconcile' }, rows.length);
    return absent;
  }
}

function isFilled({ backfilledAt }: RefreshedType): boolean {
  return backfilledAt !== null;
}

/** A portal that takes no calls for now is no reason to pass anything by. */
function throwIfPassing(error: unknown): void {
  const isOfItem =
    error instanceof Bitrix24Error && error.recovery !== 'wait' && error.recovery !== 'reauthorize';
  if (!isOfItem) throw error;
}
