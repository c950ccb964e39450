import {
  Bitrix24Error,
  clearReserved,
  clearUnreadable,
  listReserved,
  MAX_OFFLINE_RECORDS,
  type OfflineBatch,
  type ProcessId,
  readReserved,
  reserveRecords,
  toProcessId,
} from '@relay/bitrix24';
import { MAX_CHUNKS, type Part, type PullSession } from './pull-session.js';

const MAX_RESERVED_PAGES = 40;
/** Reads of one batch; each clears what it has read. */
const MAX_BATCH_READS = 20;

/**
 * Reads a queue whose plan has `rest_offline_extended`: reserves records under a process id, publishes them, clears
 * them. What a process leaves reserved is known by `offline.batches`, or found by `event.offline.list`.
 */
export class ReservingReader {
  constructor(private readonly session: PullSession) {}

  /** Finds the batches that are not in the database, in the queues of these connectors. */
  async searchBatches(connectors: readonly string[]): Promise<void> {
    const { client, signal, store } = this.session.parts;
    let areAllKnown = true;
    for (const connector of connectors) {
      const { processIds, isComplete } = await listReserved(client, MAX_RESERVED_PAGES, {
        signal,
        connector,
      });
      await store.saveBatches(this.session.memberId, connector, processIds);
      areAllKnown &&= isComplete;
    }
    if (areAllKnown) await store.endReservations(this.session.memberId);
  }

  /** What was reserved before first. @returns whether more is left */
  async read(part: Part): Promise<boolean> {
    const { store } = this.session.parts;
    for (const id of await store.batches(this.session.memberId, this.session.connector)) {
      await this.finishBatch(toProcessId(id));
    }
    return await this.reserveAll(part);
  }

  private async reserveAll(part: Part): Promise<boolean> {
    const { store, client, signal } = this.session.parts;
    for (let chunk = 0; chunk < MAX_CHUNKS; chunk += 1) {
      signal.throwIfAborted();
      await store.beginReserving(this.session.memberId);
      const sentAtMs = Date.now();
      const { batch, time } = await reserveRecords(client, MAX_OFFLINE_RECORDS, {
        ...this.session.queue,
        ...part,
        ...this.session.oldEnough(),
      });
      await store.endReserving(this.session.memberId, this.session.connector, batch?.processId);
      const isSkewNew = await this.session.learnSkew(time, sentAtMs);
      if (batch) {
        const { records: given, unreadable } = batch;
        if (given.length > 0 && !this.session.isNew(given)) return false;
        await this.session.publishRecords(given);
        await clearReserved(client, batch.processId, messageIdsOf(given), this.session.queue);
        // What cannot be read would stay reserved.
        if (unreadable.count > 0) await this.finishBatch(batch.processId);
        else await store.removeBatch(this.session.memberId, batch.processId);
        if (given.length + unreadable.count < MAX_OFFLINE_RECORDS && !isSkewNew) return false;
      } else if (!isSkewNew) {
        return false;
      }
    }
    return true;
  }

  /** Publishes what is left of a batch, and clears it; the next poll goes on with a very large one. */
  private async finishBatch(processId: ProcessId): Promise<void> {
    for (const isMarked of [false, true]) {
      if (!(await this.emptyBatch(processId, isMarked))) return;
    }
    await this.session.parts.store.removeBatch(this.session.memberId, processId);
  }

  /** @returns whether nothing is left, or nothing that could be read or cleared */
  private async emptyBatch(processId: ProcessId, isMarked: boolean): Promise<boolean> {
    const { client, signal } = this.session.parts;
    for (let read = 0; read < MAX_BATCH_READS; read += 1) {
      signal.throwIfAborted();
      const { records: left, unreadable } = await this.readBatch(processId, isMarked);
      if (left.length + unreadable.count === 0) return true;
      if (!this.session.isNew(left, unreadable.ids)) return true;
      await this.session.publishRecords(left);
      await clearReserved(client, processId, messageIdsOf(left), this.session.queue);
      await clearUnreadable(client, processId, unreadable.ids, this.session.queue);
      this.session.noteUnreadable(unreadable.count);
    }
    return false;
  }

  /** Fewer records at once, if they are so large that the response is too long. */
  private async readBatch(processId: ProcessId, isMarked: boolean): Promise<OfflineBatch> {
    const { client } = this.session.parts;
    for (let limit = MAX_OFFLINE_RECORDS; ; limit = Math.ceil(limit / 10)) {
      try {
        return await readReserved(client, processId, { ...this.session.queue, limit, isMarked });
      } catch (error) {
        if (limit === 1 || !(error instanceof Bitrix24Error) || error.detail !== 'too-long') throw error;
      }
    }
  }
}

function messageIdsOf(read: readonly { messageId: string }[]): string[] {
  return read.map(({ messageId }) => messageId);
}
