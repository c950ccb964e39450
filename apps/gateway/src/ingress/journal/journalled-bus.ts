import { trace } from '@opentelemetry/api';
import type { PortalEvent } from '@relay/events';
import { counter, gauge, type Log } from '@relay/platform';
import { join } from 'node:path';
import {
  BusUnavailableError,
  type Consumption,
  type ConsumeOptions,
  type EventBus,
  withCurrentTrace,
} from '@relay/bus';
import { Drainer, type DrainerOptions } from './drainer.js';
import { contentsOf, otherSlots, type JournalStatus } from './journal-status.js';
import { Journal, JournalError, type JournalLimits } from './journal.js';

const journalledTotal = counter({
  name: 'relay_journal_events_total',
  help: 'Events that the bus would not take, by outcome: stored, or the code of the rejection',
  labelNames: ['outcome'],
});
const journalEntries = gauge({
  name: 'relay_journal_events',
  help: 'Events that wait in this process’ slot of the journal',
});
const journalBytes = gauge({
  name: 'relay_journal_bytes',
  help: 'Bytes of their messages',
});
const journalQuarantined = gauge({
  name: 'relay_journal_aside_events',
  help: 'Events in this process’ slot that it cannot read: newer, which wait for the upgrade, and unreadable',
  labelNames: ['what'],
});

/** Half a day of a busy installation; a week is longer than any outage that goes unnoticed. */
const DEFAULT_LIMITS: JournalLimits = { maxBytes: 1024 ** 3, maxAgeMs: 7 * 24 * 3_600_000 };

const DEFAULT_REOPEN_MS = 10_000;

interface JournalOptions extends Pick<DrainerOptions, 'pollMs' | 'orphansMs'> {
  /** Each process takes a slot of its own below it: `<dataDir>/journal/<slot>`. */
  dataDir: string;
  log: Log;
  limits?: JournalLimits;
  /** How often to retry a failed open of the journal. */
  reopenMs?: number;
}

/**
 * A bus that writes events to the local disk while it is down, and publishes them afterwards. For a process whose
 * callers do not retry: the gateway.
 */
export class JournalledBus implements EventBus {
  /** Undefined while it cannot be opened: a full disk must not prevent a gateway start while the bus is available. */
  private journal: Journal | undefined;
  private drainer: Drainer | undefined;
  private opening: Promise<void> | undefined;
  private reopen: NodeJS.Timeout | undefined;
  private isClosed = false;

  private constructor(
    private readonly bus: EventBus,
    private readonly options: DrainerOptions,
    private readonly reopenMs: number,
  ) {}

  /** Resolves after the first attempt to open the journal, successful or not. */
  static async over(
    bus: EventBus,
    { dataDir, log, limits = DEFAULT_LIMITS, reopenMs = DEFAULT_REOPEN_MS, ...intervals }: JournalOptions,
  ): Promise<JournalledBus> {
    const folder = join(dataDir, 'journal');
    const journalled = new JournalledBus(bus, { folder, limits, bus, log, ...intervals }, reopenMs);
    await journalled.open();
    return journalled;
  }

  private open(): Promise<void> {
    this.opening = this.tryToOpen().finally(() => {
      this.opening = undefined;
    });
    return this.opening;
  }

  private async tryToOpen(): Promise<void> {
    const { folder, limits, log } = this.options;
    try {
      const journal = await Journal.open(folder, limits, log);
      this.journal = journal;
      if (journal.size > 0)
        log.info({ events: journal.size, slot: journal.number }, 'the journal holds events');
      this.drainer = new Drainer(journal, { ...this.options, onDrained: () => this.count() });
      this.count();
      this.drainer.start();
    } catch (error) {
      log.error({ event: 'journal.unopenable', err: error }, 'the journal cannot be opened; retrying');
      if (!this.isClosed) this.reopen = setTimeout(() => void this.open(), this.reopenMs);
    }
  }

  /**
   * Resolves when the event is on the bus or synced to the disk. @throws BusUnavailableError when neither accepts it
   */
  async publish(event: PortalEvent): Promise<void> {
    try {
      await this.bus.publish(event);
    } catch (error) {
      if (!(error instanceof BusUnavailableError)) throw error;
      await this.keep(event, error);
    }
  }

  private async keep(event: PortalEvent, rejection: BusUnavailableError): Promise<void> {
    try {
      if (!this.journal) throw new JournalError('JOURNAL_UNWRITABLE');
      await this.journal.append(withCurrentTrace(event));
      trace.getActiveSpan()?.setAttribute('relay.journalled', true);
      journalledTotal.inc({ outcome: 'stored' });
    } catch (cause) {
      journalledTotal.inc({ outcome: cause instanceof JournalError ? cause.code : 'error' });
      throw new BusUnavailableError(rejection.code, { cause });
    } finally {
      this.count();
    }
  }

  private count(): void {
    journalEntries.set(this.journal?.size ?? 0);
    journalBytes.set(this.journal?.bytes ?? 0);
    journalQuarantined.set({ what: 'newer' }, this.journal?.newer ?? 0);
    journalQuarantined.set({ what: 'unreadable' }, this.journal?.unreadable ?? 0);
  }

  consume(options: ConsumeOptions): Promise<Consumption> {
    return this.bus.consume(options);
  }

  /** An event published now would be stored, on the bus or on disk. */
  isReady(): boolean {
    return this.bus.isReady() || this.isJournalOpen;
  }

  /** Bus or journal is unavailable: events are only journalled, or would be lost if the bus went down. */
  isDegraded(): boolean {
    return !this.bus.isReady() || !this.isJournalOpen;
  }

  private get isJournalOpen(): boolean {
    return this.journal?.isOpen() ?? false;
  }

  /** For operators; covers only this gateway's folder. */
  async status(): Promise<JournalStatus> {
    const { folder, limits, log } = this.options;
    return {
      ...contentsOf(this.journal),
      limits,
      isOpen: this.isJournalOpen,
      isBusAway: !this.bus.isReady(),
      others: await otherSlots(folder, this.journal?.number, limits, log),
    };
  }

  async close(): Promise<void> {
    this.isClosed = true;
    clearTimeout(this.reopen);
    await this.opening;
    await this.drainer?.stop();
    await this.bus.close();
    await this.journal?.close();
  }
}
