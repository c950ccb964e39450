import type { Log } from '@relay/platform';
import { setTimeout as pause } from 'node:timers/promises';
import { BusUnavailableError, type EventBus } from '@relay/bus';
import { Journal, type Entry, type JournalLimits } from './journal.js';
import { listSlots, openSlot } from './slot.js';

export interface DrainerOptions {
  folder: string;
  limits: JournalLimits;
  bus: Pick<EventBus, 'isReady' | 'publish'>;
  log: Log;
  /** Called after each batch. */
  onDrained?: () => void;
  /** How often to poll. */
  pollMs?: number;
  /** How often to look for slots that a process left behind. */
  orphansMs?: number;
}

const BATCH_SIZE = 200;
/**
 * No caller waits for these, and the bus may store an event after its deadline and then again from the retry: a bus
 * that is only slow must not be given the same batch at every poll.
 */
const PUBLISH_DEADLINE_MS = 10_000;
const DEFAULT_POLL_MS = 500;
const DEFAULT_ORPHANS_MS = 30_000;
/** A slot that holds only events of a newer version is read in full at each poll. */
const QUARANTINE_RETRY_MS = 10 * 60_000;

/** Publishes the journal's events under their original ids as soon as the bus accepts them. */
export class Drainer {
  private readonly stopping = new AbortController();
  private running: Promise<void> | undefined;
  /** By slot, Unix time in milliseconds: when to read its quarantined events again. */
  private readonly quarantineRetryAt = new Map<number, number>();

  constructor(
    private readonly own: Journal,
    private readonly options: DrainerOptions,
  ) {}

  start(): void {
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const { pollMs = DEFAULT_POLL_MS, orphansMs = DEFAULT_ORPHANS_MS } = this.options;
    let orphansDueAt = 0;
    while (!this.stopping.signal.aborted) {
      await this.attempt(() => this.own.probeDisk());
      await this.attempt(() => this.drain(this.own));
      if (Date.now() >= orphansDueAt) {
        await this.attempt(() => this.drainOrphans());
        orphansDueAt = Date.now() + orphansMs;
      }
      await pause(pollMs, undefined, { signal: this.stopping.signal }).catch(() => undefined);
    }
  }

  /** Failed work is repeated at the next poll: only events that are on the bus have been removed. */
  private async attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.options.log.error(
        { event: 'journal.drain.failed', err: error },
        'the journal could not be drained; retrying',
      );
    }
  }

  private async drain(journal: Journal): Promise<void> {
    const { bus, log } = this.options;
    let [drained, rejected] = [0, 0];
    let behind: string | undefined;
    let rejection: unknown;
    while (journal.size > 0 && bus.isReady() && !this.stopping.signal.aborted) {
      const batch = await journal.oldest(BATCH_SIZE, behind);
      const outcome = await this.publish(batch);
      await journal.remove(outcome.published);
      drained += outcome.published.length;
      rejected += batch.length - outcome.published.length;
      rejection ??= outcome.rejection;
      this.options.onDrained?.();
      // An event that is rejected for itself does not block later ones; events that arrive meanwhile wait for the next
      // poll.
      behind = batch.at(-1)?.key;
      if (outcome.isUnavailable || batch.length < BATCH_SIZE) break;
    }
    if (drained > 0) {
      log.info({ drained, left: journal.size, slot: journal.number }, 'events of the journal are on the bus');
    }
    if (rejection !== undefined) {
      log.error(
        { event: 'journal.events.rejected', err: rejection, rejected, slot: journal.number },
        'the bus rejects events of the journal',
      );
    }
  }

  /** @returns the events that the bus has stored, whether it accepts no others for now, and why it rejected one */
  private async publish(
    batch: readonly Entry[],
  ): Promise<{ published: Entry[]; isUnavailable: boolean; rejection: unknown }> {
    const outcomes = await Promise.allSettled(
      batch.map(({ event }) => this.options.bus.publish(event, PUBLISH_DEADLINE_MS)),
    );
    let isUnavailable = false;
    let rejection: unknown;
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue;
      const { reason }: { reason: unknown } = outcome;
      if (reason instanceof BusUnavailableError && reason.code !== 'BUS_REFUSED') isUnavailable = true;
      else rejection ??= reason;
    }
    return {
      published: batch.filter((_, index) => outcomes[index]?.status === 'fulfilled'),
      isUnavailable,
      rejection,
    };
  }

  /** A gateway that was scaled away leaves its slot; no process has it open any more. */
  private async drainOrphans(): Promise<void> {
    const { folder, bus } = this.options;
    for (const number of await listSlots(folder)) {
      if (number === this.own.number || !bus.isReady() || this.stopping.signal.aborted) continue;
      if (Date.now() < (this.quarantineRetryAt.get(number) ?? 0)) continue;
      // A slot that cannot be read does not block the others.
      await this.attempt(() => this.drainOrphan(number));
    }
  }

  private async drainOrphan(number: number): Promise<void> {
    const { folder, limits, log } = this.options;
    const slot = await openSlot(folder, number);
    if (!slot) return;
    const orphan = await Journal.over(slot, number, limits, log);
    try {
      await this.drain(orphan);
      if (orphan.newer + orphan.unreadable > 0)
        this.quarantineRetryAt.set(number, Date.now() + QUARANTINE_RETRY_MS);
    } finally {
      await orphan.close();
    }
  }
}
