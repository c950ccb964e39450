import { Bitrix24Error, listWaiting, MAX_OFFLINE_RECORDS, PAGE_SIZE, takeRecords } from '@relay/bitrix24';
import { MAX_CHUNKS, type Part, type PullSession } from './pull-session.js';

/** Pages that are listed before a part of the queue is taken. */
const MAX_PAGES = MAX_OFFLINE_RECORDS / PAGE_SIZE;

/**
 * Reads a queue whose plan has no `rest_offline_extended`: the portal deletes as it answers, so records are listed and
 * stored first. Their data are those of the list: the answer may be lost.
 */
export class DeletingReader {
  constructor(private readonly session: PullSession) {}

  /** @returns whether more is left */
  async read(part: Part): Promise<boolean> {
    const { client, store } = this.session.parts;
    let backlog = 0;
    for (let chunk = 0; chunk < MAX_CHUNKS; chunk += 1) {
      // The same for list and take: what comes to rest in between is not stored.
      const selection = { ...part, ...this.session.oldEnough() };
      const { listed, unreadable, lastId, isEnd, left, isSkewNew } = await this.listChunk(selection, backlog);
      if (lastId === undefined) {
        if (!isSkewNew) return false;
        continue;
      }
      if (!this.session.isNew(listed, unreadable)) return false;
      await store.saveRecords(this.session.memberId, this.session.eventsOf(listed));
      await store.beginDestructiveRead(this.session.memberId);
      try {
        const limit = Math.min(listed.length + unreadable.length, MAX_OFFLINE_RECORDS);
        const taken = await takeRecords(client, { lastId, limit, ...this.session.queue, ...selection });
        await store.saveRecords(this.session.memberId, this.session.eventsOf(taken.records));
        this.session.noteUnreadable(taken.unreadable.count);
      } catch (error) {
        if (mayHaveDeleted(error)) await this.noteLostAnswer(error);
        else await store.endDestructiveRead(this.session.memberId);
        throw error;
      }
      await store.endDestructiveRead(this.session.memberId);
      await this.publishStored();
      if (isEnd && !isSkewNew) return false;
      backlog = left;
    }
    return true;
  }

  /** Also what a process before left in the database. */
  async publishStored(): Promise<void> {
    const { store } = this.session.parts;
    for (;;) {
      const stored = await store.records(this.session.memberId);
      if (stored.length === 0) return;
      await this.session.publish(stored.map(({ event }) => event));
      await store.removeRecords(this.session.memberId, stored);
    }
  }

  /**
   * One request for up to fifty records, a second one for thousands.
   * @param backlog records that are known to wait: one request for all of them
   */
  private async listChunk(selection: Part & { untilMs?: number }, backlog: number) {
    const { client, signal } = this.session.parts;
    signal.throwIfAborted();
    const sentAtMs = Date.now();
    const known = pagesOf(backlog, MAX_PAGES);
    const all = known > 1 ? await this.listPages(0, known, selection) : undefined;
    const first = all ?? (await listWaiting(client, { afterId: 0, ...this.session.queue, ...selection }));
    const isSkewNew = await this.session.learnSkew(first.time, sentAtMs);
    const { lastId, isEnd, left } = first;
    const listed = {
      listed: first.records,
      unreadable: first.unreadable.ids,
      lastId,
      isEnd,
      left,
      isSkewNew,
    };
    if (all || isEnd || lastId === undefined) return listed;
    const rest = await this.listPages(lastId, pagesOf(left, MAX_PAGES - 1), selection);
    if (!rest) return listed;
    return {
      listed: [...first.records, ...rest.records],
      unreadable: [...first.unreadable.ids, ...rest.unreadable.ids],
      lastId: rest.lastId ?? lastId,
      isEnd: rest.isEnd,
      left: rest.left,
      isSkewNew,
    };
  }

  /** Undefined when the records are so large that the response is too long: fifty of them are enough for now. */
  private async listPages(afterId: number, pages: number, selection: Part & { untilMs?: number }) {
    const { client } = this.session.parts;
    return await listWaiting(client, { afterId, pages, ...this.session.queue, ...selection }).catch(
      (error: unknown) => {
        if (error instanceof Bitrix24Error && error.detail === 'too-long') return undefined;
        throw error;
      },
    );
  }

  /**
   * Whether the portal has deleted the records is unknown; they are stored, and published by the next poll at the latest.
   * What has changed since is looked for by `QueuePoller`.
   */
  private async noteLostAnswer(error: unknown): Promise<void> {
    this.session.parts.log.warn(
      { event: 'offline.answer.lost', memberId: this.session.memberId, err: error },
      'the answer of the portal was lost after it may have deleted records; they were stored before and are published now',
    );
    await this.publishStored();
  }
}

/** At least one: a portal may not say how many records there are. */
function pagesOf(count: number, max: number): number {
  return Math.max(1, Math.min(max, Math.ceil(count / PAGE_SIZE)));
}

/** False when the request was not delivered, or the portal has rejected it. */
function mayHaveDeleted(error: unknown): boolean {
  if (!(error instanceof Bitrix24Error)) return true;
  const { delivered, code, httpStatus = 400 } = error;
  if (delivered === 'no') return false;
  return delivered === 'unknown' || code === 'BAD_ANSWER' || httpStatus >= 500;
}
