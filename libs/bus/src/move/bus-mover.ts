import { setTimeout as pause } from 'node:timers/promises';
import { decodeMessage, type PortalEvent } from '@relay/events';
import { databasePool, type Log } from '@relay/platform';
import type pg from 'pg';
import { OperationInProgressError, OperatorLock } from '../admin/operator-lock.js';
import { DEFAULT_RETRY_DELAYS_MS } from '../contract/retry-delays.js';
import { emptyResult, type MoveResult, type MoveSource, type MoveTarget } from './moved.js';
import { PostgresSource } from './postgres-source.js';
import { RabbitSource } from './rabbit-source.js';
import { openPostgresTarget, openRabbitTarget } from './targets.js';

export interface BusMoverOptions {
  /** When set, RabbitMQ is the bus in use, and messages in the PostgreSQL tables are moved to it. */
  amqpUrl: string | undefined;
  /** When set, messages in that RabbitMQ are moved to the bus in use. */
  previousAmqpUrl: string | undefined;
  databaseUrl: string;
  /** The bus in use. */
  bus: { publish(event: PortalEvent): Promise<void> };
  /** Every current and former consumer. */
  consumers: () => Promise<readonly string[]>;
  log: Log;
  retryDelaysMs?: readonly number[];
  /** How often to check: a process that still uses the previous bus may add messages. */
  everyMs?: number;
}

/** The result of one round over all previous buses. */
interface MoveReport extends MoveResult {
  /** There is no previous bus. */
  none: boolean;
  /** Buses that could not be reached, or whose messages the bus in use did not accept; the log says why. */
  failed: string[];
}

const ROUND_MS = 10_000;
const EVERY_MS = 30_000;
/** One process moves; the others retry later. */
const TIMEOUT_MS = 500;
const PUBLISH_POOL = 4;
const CONNECT_TIMEOUT_MS = 5_000;
const QUERY_TIMEOUT_MS = 30_000;
/** A persistent problem is not logged at every round. */
const LOG_AGAIN_MS = 10 * 60_000;

/**
 * Moves waiting, retrying and dead messages from a bus that is no longer in use to the current one: nothing else reads
 * them there.
 */
export class BusMover {
  private readonly sources: MoveSource[];
  private readonly lock: OperatorLock;
  private readonly database: pg.Pool;
  private readonly stop = new AbortController();
  private readonly loggedAt = new Map<string, number>();
  private running: Promise<void> | undefined;

  constructor(private readonly options: BusMoverOptions) {
    const { amqpUrl, previousAmqpUrl, databaseUrl, consumers, log } = options;
    this.sources = [
      ...(amqpUrl === undefined ? [] : [new PostgresSource(databaseUrl, log)]),
      ...(previousAmqpUrl === undefined
        ? []
        : [
            new RabbitSource({
              url: previousAmqpUrl,
              amqpUrl,
              consumers,
              retryDelaysMs: this.retryDelaysMs,
            }),
          ]),
    ];
    this.lock = new OperatorLock(databaseUrl, TIMEOUT_MS);
    this.database = databasePool({
      connectionString: databaseUrl,
      application_name: 'b24-relay bus move',
      max: PUBLISH_POOL,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
    });
  }

  /** Starts the first round at once and repeats it; does not wait for it. */
  start(): void {
    if (this.sources.length > 0) this.running = this.run();
  }

  async close(): Promise<void> {
    this.stop.abort();
    await this.running;
    await this.database.end();
  }

  /** One round of about ten seconds at most. @throws OperationInProgressError while another process moves */
  async move(): Promise<MoveReport> {
    const report: MoveReport = { ...emptyResult(), none: this.sources.length === 0, failed: [] };
    if (report.none) return report;
    return this.lock.hold('bus move', async () => {
      for (const source of this.sources) await this.moveFrom(source, report);
      return report;
    });
  }

  private get retryDelaysMs(): readonly number[] {
    return this.options.retryDelaysMs ?? DEFAULT_RETRY_DELAYS_MS;
  }

  private async run(): Promise<void> {
    while (!this.stop.signal.aborted) {
      let isDone = true;
      try {
        isDone = (await this.move()).done;
      } catch (error) {
        if (!(error instanceof OperationInProgressError))
          this.logThrottled(
            'error',
            { event: 'bus.move.failed', err: error },
            'the previous bus could not be checked; retrying',
          );
      }
      if (isDone) await this.pause();
    }
  }

  private async pause(): Promise<void> {
    await pause(this.options.everyMs ?? EVERY_MS, undefined, { signal: this.stop.signal }).catch(
      () => undefined,
    );
  }

  private async moveFrom(source: MoveSource, report: MoveReport): Promise<void> {
    const { log, bus } = this.options;
    const until = performance.now() + ROUND_MS;
    try {
      const round = await source.move({
        openTarget: (consumer) => this.openTarget(consumer),
        publish: (content) => bus.publish(decodeMessage(content)),
        isOver: () => this.stop.signal.aborted || performance.now() > until,
      });
      const { messages, letters, unrouted, served, done } = round;
      if (messages + letters + unrouted > 0)
        log.info({ from: source.name, messages, letters, unrouted, done }, 'moved from the previous bus');
      if (served.length > 0)
        this.logThrottled(
          'warn',
          { event: 'bus.move.consumer_running', from: source.name, consumers: served },
          'processes still use the previous bus: their events stay there until they end',
        );
      report.messages += messages;
      report.letters += letters;
      report.unrouted += unrouted;
      report.done &&= done;
      report.served.push(...served);
    } catch (error) {
      report.failed.push(source.name);
      this.logThrottled(
        'error',
        { event: 'bus.move.failed', err: error, from: source.name },
        'the events on the previous bus cannot be moved now; retrying, and at once by: relay bus move',
      );
    }
  }

  private async openTarget(consumer: string): Promise<MoveTarget> {
    const { amqpUrl, log } = this.options;
    return amqpUrl === undefined
      ? openPostgresTarget(this.database, consumer)
      : openRabbitTarget(amqpUrl, consumer, { retryDelaysMs: this.retryDelaysMs, log });
  }

  private logThrottled(level: 'warn' | 'error', fields: object, message: string): void {
    if (performance.now() - (this.loggedAt.get(message) ?? -Infinity) < LOG_AGAIN_MS) return;
    this.loggedAt.set(message, performance.now());
    this.options.log[level](fields, message);
  }
}
