import { type Log, PeriodicJob, type ReportDatabase } from '@relay/platform';
import { z } from 'zod';

interface EventLogPartitionsOptions {
  /** TypeORM's DataSource implements it. */
  database: ReportDatabase;
  /** One process of all maintains the log. */
  isLeader: () => boolean;
  /** Whole days before the present one that are kept; 0: none, the log is off. */
  days: number;
  maxBytes: number;
  log: Log;
  everyMs?: number;
}

const DEFAULT_EVERY_MS = 60_000;

const maintained = z.tuple([z.object({ dropped: z.array(z.string()), emptied: z.boolean() })]);

/**
 * Keeps the event log within its days and bytes: creates the partitions of the coming days, so that a week without a control
 * plane stops nothing, and drops old ones.
 */
export class EventLogPartitions {
  private readonly job: PeriodicJob;

  constructor(private readonly options: EventLogPartitionsOptions) {
    this.job = new PeriodicJob('event log', options.everyMs ?? DEFAULT_EVERY_MS, options.log, () =>
      this.maintain(),
    );
  }

  start(): void {
    this.job.start();
  }

  async stop(): Promise<void> {
    await this.job.stop();
  }

  private async maintain(): Promise<void> {
    const { database, isLeader, days, maxBytes, log } = this.options;
    if (!isLeader()) return;
    const rows = await database.query('SELECT dropped, emptied FROM event_log.maintain($1, $2)', [
      days,
      maxBytes,
    ]);
    const [{ dropped, emptied }] = maintained.parse(rows);
    if (dropped.length > 0) log.info({ days: dropped }, 'old days of the event log are gone');
    if (emptied)
      log.warn(
        { event: 'event_log.full', maxBytes },
        'the event log of today alone was larger than it may be, and begins anew',
      );
  }
}
