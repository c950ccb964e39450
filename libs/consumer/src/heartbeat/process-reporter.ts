import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Log } from '@relay/platform';
import type { ConsumerState, WorkReport } from '../scheduler/dispatcher.js';

/** Database access for reports; TypeORM's DataSource implements it. */
export interface ReportDatabase {
  query(sql: string, parameters: unknown[]): Promise<unknown>;
}

export interface ProcessReporterOptions {
  consumer: string;
  database: ReportDatabase;
  /** Undefined before the process takes events. */
  state: () => (ConsumerState & WorkReport) | undefined;
  log: Log;
  everyMs?: number;
}

const REPORT_EVERY_MS = 5_000;

/** A process that waits for its queues. */
const nothingYet: ConsumerState & WorkReport = {
  lanes: 0,
  waiting: 0,
  batches: 0,
  isPaused: false,
  oldestAt: undefined,
  newer: 0,
  deferred: 0,
  done: 0,
  largest: [],
};

const REPORT_SQL = `
  WITH forgotten AS (
    DELETE FROM bus.consumer_processes WHERE consumer = $1 AND reported_at < now() - interval '1 hour'
  )
  INSERT INTO bus.consumer_processes AS p
    (consumer, replica, host, pid, lanes, waiting, batches, oldest_at, is_paused, newer, deferred, done, largest,
     started_at, reported_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, to_timestamp($8::float8 / 1000), $9, $10, $11, $12, $13, now(), now())
  ON CONFLICT (consumer, replica) DO UPDATE
  SET lanes = excluded.lanes, waiting = excluded.waiting, batches = excluded.batches,
      oldest_at = excluded.oldest_at, is_paused = excluded.is_paused, newer = excluded.newer,
      deferred = excluded.deferred, done = excluded.done, largest = excluded.largest, reported_at = excluded.reported_at`;

/** Reports the state of this process to the database every few seconds. Its failures affect nothing else. */
export class ProcessReporter {
  private readonly replica = randomUUID();
  private timer: NodeJS.Timeout | undefined;
  private reporting: Promise<void> | undefined;
  private isFailing = false;

  constructor(private readonly options: ProcessReporterOptions) {}

  /** Resolves after the first report, successful or not: from then on operators see the process. */
  async start(): Promise<void> {
    this.timer = setInterval(() => this.reportUnlessBusy(), this.options.everyMs ?? REPORT_EVERY_MS);
    this.reportUnlessBusy();
    await this.reporting;
  }

  /** Removes the process from the list; never rejects. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.reporting;
    const { consumer, database } = this.options;
    await this.attempt(() =>
      database.query('DELETE FROM bus.consumer_processes WHERE consumer = $1 AND replica = $2', [
        consumer,
        this.replica,
      ]),
    );
  }

  /** A slow database gets no second concurrent query. */
  private reportUnlessBusy(): void {
    this.reporting ??= this.attempt(() => this.report()).finally(() => {
      this.reporting = undefined;
    });
  }

  private async report(): Promise<void> {
    const { consumer, database, state } = this.options;
    const { lanes, waiting, batches, oldestAt, isPaused, newer, deferred, ...work } = state() ?? nothingYet;
    const held = [lanes, waiting, batches, oldestAt ?? null, isPaused, newer, deferred];
    const values = [consumer, this.replica, hostname(), process.pid, ...held];
    values.push(work.done, JSON.stringify(work.largest));
    await database.query(REPORT_SQL, values);
  }

  private async attempt(work: () => Promise<unknown>): Promise<void> {
    const { consumer, log } = this.options;
    try {
      await work();
      if (this.isFailing) log.info({ consumer }, 'the process reports itself to operators again');
      this.isFailing = false;
    } catch (error) {
      if (!this.isFailing)
        log.warn(
          { event: 'consumer.report.failed', consumer, err: error },
          'the process cannot report itself to operators',
        );
      this.isFailing = true;
    }
  }
}
