import { databasePool, type Log, pause, waitAtMost } from '@relay/platform';
import type pg from 'pg';
import type { BusHealth } from '../../connection/connection-report.js';
import { OperationInProgressError, OperatorLock, TOPOLOGY, UNROUTED } from '../../admin/operator-lock.js';
import { isSubscribedTo, type UnroutedEvent } from '../../admin/unrouted.js';
import { explainConnectionError } from '../../connection/explain-connection-error.js';
import { restoredTotal, returnedTotal } from '../../contract/instrumentation.js';
import { DEFAULT_RETRY_DELAYS_MS } from '../../contract/retry-delays.js';
import { retryName, UNROUTED_MAX_LENGTH, type ConsumerTopology } from '../topology.js';
import { AdminConnection } from './admin-connection.js';
import { returnUnrouted } from './return-unrouted.js';
import { declareTopology, inspectTopology, type MissingPart } from './inspect-topology.js';

/** One subscription of a consumer, and since when: the consumer has not missed older events. */
export interface WantedSubscription {
  consumer: string;
  name: string;
  since: Date;
}

interface TopologyReconcilerOptions {
  amqpUrl: string;
  databaseUrl: string;
  /** The subscriptions of all consumers that must have queues, including those that are not running. */
  wanted: (database: Pick<pg.Pool, 'query'>) => Promise<WantedSubscription[]>;
  log: Log;
  busHealth?: BusHealth;
  /** The same as those of the bus; this and the following options are for tests. */
  retryDelaysMs?: readonly number[];
  checkEveryMs?: number;
  bindEveryMs?: number;
}

/** A missing part that was declared again. */
export interface Repair extends MissingPart {
  at: Date;
}

const DEFAULT_CHECK_EVERY_MS = 3_000;
/**
 * AMQP cannot list bindings, so they are bound again periodically: for some hundred existing ones this takes 0.1 s.
 */
const DEFAULT_BIND_EVERY_MS = 60_000;
/**
 * Declaring the queues of an empty broker takes seconds; queues that do not answer must not block publishing for ever.
 */
const PREPARE_TIMEOUT_MS = 30_000;
const QUERY_TIMEOUT_MS = 5_000;
/** After a scan of unrouted events, wait this many times its duration. */
const SCAN_DELAY_FACTOR = 20;
/** A failed declaration waits for an operator, and each attempt logs an error on the broker. */
const PROBLEM_RETRY_MS = 15_000;
const NOT_SCANNED = { count: -1, nextScanAt: -Infinity };
/** When the queue is full, scanned events are replaced by new ones without a change of the count. */
const FULL_SCAN_DELAY_MS = 60_000;
/** How long `/health/ready` reports a loss; `relay topology` reports repairs for longer. */
const REPORT_LOSS_FOR_MS = 10 * 60_000;
const REPORT_REPAIRS_FOR_MS = 24 * 3_600_000;
const MAX_REPAIRS = 200;

// A series that begins with its first loss has no increase: an alert would not see it.
for (const kind of ['queue', 'exchange']) restoredTotal.inc({ kind }, 0);

/** Time from a consumer's first subscription until its queues exist: some seconds, plus clock differences. */
const NEW_FOR_MS = 60_000;

/**
 * Keeps the topology of all consumers in place on RabbitMQ, even while they are not running: declares their queues and
 * bindings before the first publish of a connection, checks every few seconds whether one is missing, and moves events
 * from `b24.unrouted` to their subscribers. Any number of processes may do so at once; each check is one round trip.
 *
 * While the database is down it uses what it has read last; if it has read nothing yet, `prepare` rejects.
 */
export class TopologyReconciler {
  readonly #options: Required<Omit<TopologyReconcilerOptions, 'busHealth'>> &
    Pick<TopologyReconcilerOptions, 'busHealth'>;
  readonly #database: pg.Pool;
  readonly #lock: OperatorLock;
  readonly #broker: AdminConnection;
  readonly #closing = new AbortController();
  #loop: Promise<void> | undefined;
  #wanted: WantedSubscription[] | undefined;
  /** Serializes restorations. */
  #restoring: Promise<unknown> = Promise.resolve();
  #restoredAt = -Infinity;
  #repairs: Repair[] = [];
  /** Why the last check could not complete. */
  #problem: string | undefined;
  #lastScan = { ...NOT_SCANNED };

  constructor(options: TopologyReconcilerOptions) {
    this.#options = {
      retryDelaysMs: DEFAULT_RETRY_DELAYS_MS,
      checkEveryMs: DEFAULT_CHECK_EVERY_MS,
      bindEveryMs: DEFAULT_BIND_EVERY_MS,
      ...options,
    };
    this.#database = databasePool({
      connectionString: options.databaseUrl,
      application_name: 'b24-relay topology',
      max: 1,
      connectionTimeoutMillis: QUERY_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
      keepAlive: true,
    });
    this.#lock = new OperatorLock(options.databaseUrl, QUERY_TIMEOUT_MS);
    this.#broker = new AdminConnection(options.amqpUrl);
  }

  /**
   * Runs before the first publish of a connection. @throws when the subscriptions are unknown or RabbitMQ is
   * unreachable
   */
  async prepare(): Promise<void> {
    await this.#read();
    const made = this.#restore().then(
      () => true,
      (error: unknown) => {
        // The lock may be held by an operator, or by a process that was cut off: that must not block publishing.
        if (error instanceof OperationInProgressError) return undefined;
        throw error;
      },
    );
    if ((await waitAtMost(made, PREPARE_TIMEOUT_MS)) === undefined) {
      this.#options.log.warn(
        { event: 'bus.topology.incomplete' },
        'not all queues are declared yet; events are published all the same',
      );
    }
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Something is missing, or was lost a short while ago. */
  isDegraded(): boolean {
    this.#report();
    return this.#reason() !== undefined;
  }

  /** Recent repairs, newest first. */
  repairs(): readonly Repair[] {
    return this.#repairs.filter(({ at }) => Date.now() - at.getTime() < REPORT_REPAIRS_FOR_MS);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await waitAtMost(Promise.all([this.#loop, this.#restoring.catch(() => undefined)]), QUERY_TIMEOUT_MS);
    await this.#broker.close();
    await waitAtMost(this.#database.end(), QUERY_TIMEOUT_MS);
    this.#options.busHealth?.set('topology', undefined);
  }

  async #run(): Promise<void> {
    const { log, checkEveryMs } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        await this.#check();
      } catch (error) {
        // The publishers report that the broker is down.
        if (error instanceof OperationInProgressError)
          log.warn({ event: 'bus.topology.busy', err: error }, 'the queues could not be checked; retrying');
        else if (!signal.aborted) log.debug({ err: error }, 'the queues could not be inspected');
      }
      this.#report();
      await pause(checkEveryMs, signal);
    }
  }

  async #check(): Promise<void> {
    await this.#read();
    const topology = this.#topology();
    const { missing, unrouted } = await inspectTopology(this.#broker, topology);
    const { bindEveryMs } = this.#options;
    const sinceMs = performance.now() - this.#restoredAt;
    const isDue = missing.length > 0 || this.#problem !== undefined || sinceMs >= bindEveryMs;
    if (isDue && (this.#problem === undefined || sinceMs >= PROBLEM_RETRY_MS)) await this.#restore();
    if (missing.length > 0) this.#lastScan = { ...NOT_SCANNED };
    if (this.#isDue(unrouted)) await this.#returnUnrouted(unrouted);
  }

  /** Again whenever the count has changed; events without a subscriber are not scanned all the time. */
  #isDue(unrouted: number): boolean {
    const { count, nextScanAt } = this.#lastScan;
    if (unrouted === 0 || performance.now() < nextScanAt) return false;
    return unrouted !== count || unrouted >= UNROUTED_MAX_LENGTH / 2;
  }

  async #returnUnrouted(unrouted: number): Promise<void> {
    const { amqpUrl: url, log } = this.#options;
    const startedAt = performance.now();
    const { returned, left, waiting, byOwner } = await this.#lock.hold(UNROUTED, () =>
      AdminConnection.during(url, (broker) =>
        returnUnrouted(broker, {
          url,
          log,
          ownersOf: (event) => this.#ownersOf(event),
          // A missing binding brought them here.
          beforeFirst: () => this.#restore(),
        }),
      ),
    );
    const now = performance.now();
    const isFull = unrouted >= UNROUTED_MAX_LENGTH / 2;
    const delayMs = Math.max((now - startedAt) * SCAN_DELAY_FACTOR, isFull ? FULL_SCAN_DELAY_MS : 0);
    this.#lastScan = { count: left, nextScanAt: returned > 0 ? now : now + delayMs };
    // Each attempt may store an event again at those of its consumers that accepted it.
    if (waiting > 0) {
      this.#lastScan = {
        count: NOT_SCANNED.count,
        nextScanAt: now + Math.max(delayMs, PROBLEM_RETRY_MS),
      };
      log.warn(
        { event: 'bus.unrouted.pending', events: waiting },
        'unrouted events cannot be returned to all of their subscribers yet',
      );
    }
    for (const [consumer, events] of byOwner) returnedTotal.inc({ consumer }, events);
    if (returned > 0) {
      const consumers = Object.fromEntries(byOwner);
      log.warn(
        { event: 'bus.unrouted.returned', events: returned, consumers },
        'unrouted events were returned to their subscribers',
      );
    }
  }

  /**
   * The subscribers at the time of its arrival; unknown for a message of a newer version, whose time cannot be read.
   */
  #ownersOf(event: UnroutedEvent): string[] {
    const { receivedAt = Infinity } = event;
    const owners = (this.#wanted ?? [])
      .filter(({ name, since }) => receivedAt >= since.getTime() && isSubscribedTo(name, event))
      .map(({ consumer }) => consumer);
    return [...new Set(owners)];
  }

  #restore(): Promise<void> {
    const next = this.#restoring.then(
      () => this.#restoreNow(),
      () => this.#restoreNow(),
    );
    this.#restoring = next.catch(() => undefined);
    return next;
  }

  async #restoreNow(): Promise<void> {
    const { amqpUrl, log } = this.#options;
    const { missing, failed } = await this.#locked(() =>
      AdminConnection.during(amqpUrl, async (broker) => {
        await this.#read();
        const topology = this.#topology();
        const inspection = await inspectTopology(broker, topology);
        return { ...inspection, failed: await declareTopology(broker, topology) };
      }),
    );
    this.#restoredAt = performance.now();
    const at = new Date();
    // Without any subscription there was never a topology to lose.
    const lost =
      this.#wanted?.length === 0 ? [] : missing.filter(({ consumer }) => !this.#isNew(consumer, missing));
    const repaired = lost.filter(({ name }) => !failed.has(name)).map((part) => ({ ...part, at }));
    this.#repairs = [...repaired, ...this.#repairs].slice(0, MAX_REPAIRS);
    for (const { kind } of repaired) restoredTotal.inc({ kind });
    for (const [consumer, parts] of byConsumer(repaired)) {
      const names = parts.map(({ name }) => name);
      log.error(
        { event: 'bus.topology.lost', consumer, names },
        'queues or exchanges were missing and are declared again; what they held is lost',
      );
    }
    const [first] = failed;
    const problem =
      first &&
      `On RabbitMQ ${first[0]} cannot be declared or bound: ${first[1]}. Events for it wait until an operator repairs it.`;
    if (problem !== undefined && problem !== this.#problem) {
      log.error(
        { event: 'bus.topology.undeclarable', failed: Object.fromEntries(failed) },
        'queues cannot be declared or bound',
      );
    }
    this.#problem = problem;
  }

  /** The consumer's first start is not complete yet: the last part that it declares is missing too. */
  #isNew(consumer: string | null, missing: readonly MissingPart[]): boolean {
    const { retryDelaysMs } = this.#options;
    const last = consumer !== null && retryName(consumer, retryDelaysMs.at(-1) ?? 0);
    const its = (this.#wanted ?? []).filter((subscription) => subscription.consumer === consumer);
    return (
      its.every(({ since }) => Date.now() - since.getTime() < NEW_FOR_MS) &&
      missing.some(({ kind, name }) => kind === 'exchange' && name === last)
    );
  }

  /**
   * Excludes a concurrent retirement, whose queues would be declared again. Without the database nobody retires a
   * consumer.
   */
  async #locked<T>(work: () => Promise<T>): Promise<T> {
    let isHeld = false;
    const held = (): Promise<T> => {
      isHeld = true;
      return work();
    };
    try {
      return await this.#lock.hold(TOPOLOGY, held);
    } catch (error) {
      if (isHeld || error instanceof OperationInProgressError || this.#wanted === undefined) throw error;
      return work();
    }
  }

  /** @throws when the database is down and nothing was read before */
  async #read(): Promise<void> {
    try {
      const wanted = await this.#options.wanted(this.#database);
      if (JSON.stringify(wanted) !== JSON.stringify(this.#wanted)) this.#lastScan = { ...NOT_SCANNED };
      this.#wanted = wanted;
    } catch (error) {
      if (this.#wanted === undefined)
        throw new Error(explainConnectionError(error, 'DATABASE_URL').reason, { cause: error });
    }
  }

  #topology(): ConsumerTopology[] {
    const { retryDelaysMs } = this.#options;
    return [...byConsumer(this.#wanted ?? [])].map(([consumer, subscriptions]) => ({
      consumer,
      names: subscriptions.map(({ name }) => name),
      retryDelaysMs,
    }));
  }

  #report(): void {
    this.#options.busHealth?.set('topology', this.#reason());
  }

  #reason(): string | undefined {
    if (this.#problem !== undefined) return this.#problem;
    const lost = this.#repairs.filter(({ at }) => Date.now() - at.getTime() < REPORT_LOSS_FOR_MS);
    const [latest] = lost;
    if (!latest) return undefined;
    const owners = new Set(lost.map(({ consumer }) => consumer ?? 'all'));
    return `Queues or exchanges were missing on RabbitMQ and were declared again, ${lost.length} in all, the last at ${latest.at.toISOString()}, of ${[...owners].join(', ')}: what they held is lost. See "Lost queues" in docs/operating.md.`;
  }
}

function byConsumer<T extends { consumer: string | null }>(all: readonly T[]): Map<T['consumer'], T[]> {
  const groups = new Map<T['consumer'], T[]>();
  for (const one of all) groups.set(one.consumer, [...(groups.get(one.consumer) ?? []), one]);
  return groups;
}
