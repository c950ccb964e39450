import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '@relay/platform';
import type pg from 'pg';
import {
  countMessages,
  singleStatus,
  type BusAdmin,
  type ConsumerProcess,
  type ConsumerStatus,
  type Retirement,
  type RetireOptions,
  type TopologyPart,
  type UnroutedEvents,
  type UnroutedFilter,
  type UnroutedReplay,
} from '../../admin/bus-admin.js';
import { DeadLetters } from '../../admin/dead-letters.js';
import { OperatorLock, registrationOf, TOPOLOGY, UNROUTED } from '../../admin/operator-lock.js';
import { reportedConsumers, reportedProcesses, storedShards } from '../../admin/shared-tables.js';
import {
  isSubscribedTo,
  matchesUnroutedFilter,
  UnroutedCounts,
  type UnroutedEvent,
} from '../../admin/unrouted.js';
import type { RetryFilter, RetryList } from '../../admin/waiting-retries.js';
import { BusUnavailableError } from '../../contract/event-bus.js';
import { UNROUTED_NAME } from '../topology.js';
import { awaitReturn, browse } from './browse.js';
import { AdminConnection } from './admin-connection.js';
import { deleteQueues, queueDepths, unbindEvents, type QueueDepths } from './consumer-queues.js';
import { checkTopology, declareTopology } from './inspect-topology.js';
import { RabbitDeadLetterStore } from './rabbit-dead-letter-store.js';
import { returnUnrouted } from './return-unrouted.js';
import { listRetries, wakeRetries } from './retries.js';

interface RabbitAdminOptions {
  url: string;
  /** Holds process reports and the operator lock; closed with this object. */
  database: pg.Pool;
  databaseUrl: string;
  retryDelaysMs: readonly number[];
  log: Log;
}

/** An event that was routed before its binding was removed may take this long to reach the queue. */
const IN_FLIGHT_MS = 1_000;
/** More than the queue holds. */
const UNROUTED_LIMIT = 20_000;

/** Each operation opens its own connection and closes it afterwards: operators are rare. Needs no RabbitMQ plugin. */
export class RabbitAdmin implements BusAdmin {
  readonly deadLetters: DeadLetters;
  private readonly lock: OperatorLock;

  constructor(private readonly options: RabbitAdminOptions) {
    this.lock = new OperatorLock(options.databaseUrl);
    this.deadLetters = new DeadLetters(new RabbitDeadLetterStore(options.url, options.log), this.lock);
  }

  knownConsumers(): Promise<string[]> {
    return reportedConsumers(this.options.database);
  }

  async statusOf(consumer: string): Promise<ConsumerStatus> {
    return singleStatus(await this.statuses([consumer]));
  }

  async statuses(consumers: readonly string[]): Promise<ConsumerStatus[]> {
    const { url, database, retryDelaysMs } = this.options;
    const [depths, processes] = await Promise.all([
      AdminConnection.during(url, async (broker) => {
        const counted: [consumer: string, QueueDepths][] = [];
        for (const consumer of consumers) {
          counted.push([consumer, await queueDepths(broker, consumer, retryDelaysMs)]);
        }
        return counted;
      }),
      reportedProcesses(database, consumers),
    ]);
    return depths.map(([consumer, counted]) =>
      this.combine(consumer, counted, processes.get(consumer) ?? []),
    );
  }

  private combine(consumer: string, depths: QueueDepths, processes: ConsumerProcess[]): ConsumerStatus {
    const { waiting, retrying, dead, shardsServed, queues } = depths;
    const sumOf = (count: (process: ConsumerProcess) => number): number =>
      processes.reduce((sum, process) => sum + count(process), 0);
    const newer = Math.min(
      retrying,
      sumOf((process) => process.newer),
    );
    const oldest = processes.flatMap(({ oldestAt }) => oldestAt?.getTime() ?? []);
    return {
      consumer,
      waiting,
      inHand: sumOf((process) => process.waiting),
      retrying,
      newer: sumOf((process) => process.newer),
      // An event that was woken is counted by its process until its scheduled time.
      deferred: Math.min(
        retrying - newer,
        sumOf((process) => process.deferred),
      ),
      dead: dead + this.deadLetters.unacknowledged(consumer),
      oldestAt: oldest.length > 0 ? new Date(Math.min(...oldest)) : null,
      shardsServed,
      processes,
      missing: shardsServed === 0 && waiting + retrying > 0,
      unknown: queues === 0,
    };
  }

  unrouted(): Promise<UnroutedEvents[]> {
    return this.lock.hold(UNROUTED, () =>
      AdminConnection.during(this.options.url, async (broker) => {
        const counts = new UnroutedCounts();
        const there = await broker.request((channel) => channel.checkQueue(UNROUTED_NAME));
        if (there.kind !== 'value') return [];
        const channel = await broker.openChannel();
        const { found } = await browse(channel, UNROUTED_NAME, UNROUTED_LIMIT, ({ content }) =>
          counts.add(content),
        );
        await channel.close();
        await awaitReturn(broker, UNROUTED_NAME, found);
        return counts.result();
      }),
    );
  }

  replayUnrouted(
    wanted: ReadonlyMap<string, readonly string[]>,
    filter: UnroutedFilter,
  ): Promise<UnroutedReplay> {
    const { url, log } = this.options;
    const ownersOf = (event: UnroutedEvent): string[] =>
      matchesUnroutedFilter(event, filter)
        ? [...wanted].flatMap(([owner, names]) =>
            names.some((name) => isSubscribedTo(name, event)) ? owner : [],
          )
        : [];
    return this.lock.hold(UNROUTED, () =>
      AdminConnection.during(url, async (broker) => {
        const { returned, left } = await returnUnrouted(broker, { url, log, ownersOf });
        return { replayed: returned, left };
      }),
    );
  }

  retries(consumer: string, filter: RetryFilter): Promise<RetryList> {
    const { url, retryDelaysMs } = this.options;
    return this.lock.hold(consumer, () =>
      AdminConnection.during(url, (broker) => listRetries(broker, consumer, retryDelaysMs, filter)),
    );
  }

  wake(consumer: string, memberIds: ReadonlySet<string>): Promise<number> {
    const { url, log, retryDelaysMs } = this.options;
    return this.lock.hold(consumer, () =>
      AdminConnection.during(url, (broker) =>
        wakeRetries(broker, consumer, { url, log, retryDelaysMs, memberIds }),
      ),
    );
  }

  async topology(wanted: ReadonlyMap<string, readonly string[]>): Promise<TopologyPart[]> {
    const { url, database, retryDelaysMs } = this.options;
    return [await storedShards(database), ...(await checkTopology(url, wanted.keys(), retryDelaysMs))];
  }

  serialize<T>(consumer: string, work: () => Promise<T>): Promise<T> {
    return this.lock.hold(registrationOf(consumer), work);
  }

  declare(consumer: string, names: readonly string[], former: readonly string[]): Promise<void> {
    const { url, retryDelaysMs } = this.options;
    return this.lock.hold(TOPOLOGY, () =>
      AdminConnection.during(url, async (broker) => {
        const [failed] = await declareTopology(broker, [{ consumer, names, retryDelaysMs }]);
        if (failed) throw new BusUnavailableError('BUS_REFUSED', { cause: new Error(failed.join(': ')) });
        const dropped = former.filter((name) => !names.includes(name));
        await unbindEvents(broker, consumer, dropped);
      }),
    );
  }

  retire(consumer: string, options: RetireOptions): Promise<Retirement> {
    const retire = (): Promise<Retirement> =>
      AdminConnection.during(this.options.url, (broker) => this.removeConsumer(broker, consumer, options));
    // The topology lock stops a reconciler that read this consumer's subscriptions earlier from declaring its queues
    // again.
    return this.lock.hold(consumer, () => this.lock.hold(TOPOLOGY, retire));
  }

  /** Checks before it unbinds the consumer, so that a rejection changes nothing, and checks once more afterwards. */
  private async removeConsumer(
    broker: AdminConnection,
    consumer: string,
    { names, drain = false, drop = false }: RetireOptions,
  ): Promise<Retirement> {
    if (drain) {
      await unbindEvents(broker, consumer, names);
      return { outcome: 'draining', status: await this.statusOf(consumer) };
    }
    const rejection = await this.rejection(consumer, drop, false);
    if (rejection) return rejection;
    await unbindEvents(broker, consumer, names);
    await sleep(IN_FLIGHT_MS);
    const lateRejection = await this.rejection(consumer, drop, true);
    if (lateRejection) return lateRejection;
    const dropped = await deleteQueues(broker, consumer, this.options.retryDelaysMs);
    for (const table of ['trials', 'consumer_processes']) {
      await this.options.database.query(`DELETE FROM bus.${table} WHERE consumer = $1`, [consumer]);
    }
    const { log } = this.options;
    if (dropped > 0)
      log.warn(
        { event: 'bus.retire.messages_dropped', consumer, dropped },
        'messages were deleted with the queues of a retired consumer',
      );
    return { outcome: 'retired', dropped };
  }

  private async rejection(
    consumer: string,
    drop: boolean,
    unsubscribed: boolean,
  ): Promise<Retirement | undefined> {
    const status = await this.statusOf(consumer);
    const rejected = { outcome: 'rejected', status, unsubscribed } as const;
    if (status.processes.length > 0 || status.shardsServed > 0) return { ...rejected, reason: 'processes' };
    return countMessages(status) > 0 && !drop ? { ...rejected, reason: 'messages' } : undefined;
  }

  async close(): Promise<void> {
    await this.deadLetters.close();
    await this.options.database.end();
  }
}
