import type { PortalEvent } from '@relay/events';
import type { Log } from '@relay/platform';
import { setTimeout as pause } from 'node:timers/promises';
import { BusUnavailableError } from '../event-bus.js';
import { Journal, type Entry, type JournalLimits } from './journal.js';
import { listSlots, openSlot } from './slot.js';

export interface DrainTarget {
  isReady(): boolean;
  publish(event: PortalEvent, deadlineMs: number): Promise<void>;
}

export interface DrainerOptions {
  folder: string;
  limits: JournalLimits;
  bus: DrainTarget;
  log: Log;
  /** Told after each lot. */
  onDrained?: () => void;
  /** How often to look. */
  pollMs?: number;
  /** How often to look for slots that a process left behind. */
  orphansMs?: number;
}

const lotSize = 200;
/**
 * Nobody waits for these, and the bus may store after a deadline what it then gets once more: a bus that is merely slow
 * must not be given the same lot at every look.
 */
const publishDeadlineMs = 10_000;
const defaultPollMs = 500;
const defaultOrphansMs = 30_000;

/** Brings the journal's events onto the bus, under the ids that they had, as soon as it takes them. */
export class Drainer {
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(
    private readonly own: Journal,
    private readonly options: DrainerOptions,
  ) {}

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { pollMs = defaultPollMs, orphansMs = defaultOrphansMs } = this.options;
    let orphansDueAt = 0;
    while (!this.#stop.signal.aborted) {
      await this.#attempt(() => this.own.mend());
      await this.#attempt(() => this.#drain(this.own));
      if (Date.now() >= orphansDueAt) {
        await this.#attempt(() => this.#drainOrphans());
        orphansDueAt = Date.now() + orphansMs;
      }
      await pause(pollMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }

  /** Whatever fails is tried at the next look: nothing has been removed that is not on the bus. */
  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.options.log.error({ err: error }, 'the journal could not be drained; trying again');
    }
  }

  async #drain(journal: Journal): Promise<void> {
    const { bus, log } = this.options;
    let drained = 0;
    let behind: string | undefined;
    while (journal.size > 0 && bus.isReady() && !this.#stop.signal.aborted) {
      const lot = await journal.oldest(lotSize, behind);
      if (lot.length === 0) break;
      const { published, isAway } = await this.#publish(lot);
      await journal.remove(published);
      drained += published.length;
      this.options.onDrained?.();
      if (isAway) break;
      // What is refused for itself keeps nothing back that came later.
      if (published.length < lot.length) behind = lot.at(-1)?.key;
    }
    if (drained > 0) {
      log.info({ drained, left: journal.size, slot: journal.number }, 'events of the journal are on the bus');
    }
  }

  /** @returns those that the bus has stored, and whether it takes no others either for now */
  async #publish(lot: readonly Entry[]): Promise<{ published: Entry[]; isAway: boolean }> {
    const outcomes = await Promise.allSettled(
      lot.map(({ event }) => this.options.bus.publish(event, publishDeadlineMs)),
    );
    let isAway = false;
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue;
      const { reason }: { reason: unknown } = outcome;
      if (!(reason instanceof BusUnavailableError)) {
        this.options.log.error({ err: reason }, 'an event of the journal was refused');
      } else if (reason.code !== 'BUS_REFUSED') isAway = true;
    }
    return { published: lot.filter((_, index) => outcomes[index]?.status === 'fulfilled'), isAway };
  }

  /** A gateway that was scaled away leaves its slot; no process has it open any more. */
  async #drainOrphans(): Promise<void> {
    const { folder, bus } = this.options;
    for (const number of await listSlots(folder)) {
      if (number === this.own.number || !bus.isReady() || this.#stop.signal.aborted) continue;
      // One that cannot be read keeps none of the others back.
      await this.#attempt(() => this.#drainOrphan(number));
    }
  }

  async #drainOrphan(number: number): Promise<void> {
    const { folder, limits, log } = this.options;
    const slot = await openSlot(folder, number);
    if (!slot) return;
    const orphan = await Journal.over(slot, number, limits, log);
    try {
      await this.#drain(orphan);
    } finally {
      await orphan.close();
    }
  }
}
