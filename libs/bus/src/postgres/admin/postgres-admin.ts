import { formatEventName, parseEventName } from '@relay/events';
import type pg from 'pg';
import {
  singleStatus,
  type BusAdmin,
  type ConsumerStatus,
  type Retirement,
  type RetireOptions,
  type TopologyPart,
  type UnroutedEvents,
  type UnroutedFilter,
  type UnroutedReplay,
} from '../../admin/bus-admin.js';
import { DeadLetters } from '../../admin/dead-letters.js';
import { OperatorLock, registrationOf, UNROUTED } from '../../admin/operator-lock.js';
import { reportedProcesses, storedShards } from '../../admin/shared-tables.js';
import type { RetryFilter, RetryList } from '../../admin/waiting-retries.js';
import { subscribe } from '../consumption.js';
import {
  countsOf,
  knownConsumers,
  listRetries,
  removeConsumer,
  unsubscribe,
  wakeRetries,
} from './consumer-rows.js';
import { PostgresDeadLetterStore } from './postgres-dead-letter-store.js';
import { countUnrouted, replayUnrouted } from './unrouted-rows.js';

interface PostgresAdminOptions {
  /** Closed with this object. */
  database: pg.Pool;
  databaseUrl: string;
}

/** The admin API of the PostgreSQL bus: all of its state is in the tables of schema `bus`. */
export class PostgresAdmin implements BusAdmin {
  readonly deadLetters: DeadLetters;
  private readonly database: pg.Pool;
  private readonly lock: OperatorLock;

  constructor({ database, databaseUrl }: PostgresAdminOptions) {
    this.database = database;
    this.lock = new OperatorLock(databaseUrl);
    this.deadLetters = new DeadLetters(new PostgresDeadLetterStore(database), this.lock);
  }

  knownConsumers(): Promise<string[]> {
    return knownConsumers(this.database);
  }

  async statusOf(consumer: string): Promise<ConsumerStatus> {
    return singleStatus(await this.statuses([consumer]));
  }

  async statuses(consumers: readonly string[]): Promise<ConsumerStatus[]> {
    const [counts, processes] = await Promise.all([
      countsOf(this.database, consumers),
      reportedProcesses(this.database, consumers),
    ]);
    return counts.map(({ taken, known, ...count }) => {
      const { consumer, retrying, shardsServed } = count;
      // Taken by a process that was killed: the next owner of the shard frees these rows.
      const abandoned = shardsServed === 0 ? taken : 0;
      const waiting = count.waiting + abandoned;
      return {
        ...count,
        waiting,
        inHand: taken - abandoned,
        processes: processes.get(consumer) ?? [],
        missing: shardsServed === 0 && waiting + retrying > 0,
        unknown: !known,
      };
    });
  }

  unrouted(): Promise<UnroutedEvents[]> {
    return countUnrouted(this.database);
  }

  replayUnrouted(
    wanted: ReadonlyMap<string, readonly string[]>,
    filter: UnroutedFilter,
  ): Promise<UnroutedReplay> {
    return this.lock.hold(UNROUTED, () => replayUnrouted(this.database, wanted, filter));
  }

  retries(consumer: string, filter: RetryFilter): Promise<RetryList> {
    return listRetries(this.database, consumer, filter);
  }

  wake(consumer: string, memberIds: ReadonlySet<string>): Promise<number> {
    return wakeRetries(this.database, consumer, memberIds);
  }

  async topology(wanted: ReadonlyMap<string, readonly string[]>): Promise<TopologyPart[]> {
    return [await storedShards(this.database), ...(await checkTopology(this.database, wanted))];
  }

  async declare(consumer: string, names: readonly string[]): Promise<void> {
    await subscribe(this.database, consumer, names);
  }

  serialize<T>(consumer: string, work: () => Promise<T>): Promise<T> {
    return this.lock.hold(registrationOf(consumer), work);
  }

  retire(consumer: string, { drain = false, drop = false }: RetireOptions): Promise<Retirement> {
    return this.lock.hold(consumer, async () => {
      if (drain) {
        await unsubscribe(this.database, consumer);
        return { outcome: 'draining', status: await this.statusOf(consumer) };
      }
      const removal = await removeConsumer(this.database, consumer, drop);
      if (removal.removed) return { outcome: 'retired', dropped: removal.dropped };
      const status = await this.statusOf(consumer);
      return { outcome: 'rejected', reason: removal.reason, status, unsubscribed: false };
    });
  }

  async close(): Promise<void> {
    await this.deadLetters.close();
    await this.database.end();
  }
}

const TABLES = [
  'subscriptions',
  'messages',
  'dead_letters',
  'unrouted',
  'topology',
  'trials',
  'consumer_processes',
  'shard_leases',
  'operator_turns',
];

/** Checks the tables of the bus, and for each consumer the subscriptions that it asked for. */
async function checkTopology(
  database: pg.Pool,
  wanted: ReadonlyMap<string, readonly string[]>,
): Promise<TopologyPart[]> {
  const parts = await checkTables(database);
  if (parts.some(({ state }) => state !== 'ok')) return parts;
  const { rows } = await database.query<{ consumer: string; name: string; type: number }>(
    'SELECT consumer, name, entity_type_id AS type FROM bus.subscriptions',
  );
  const stored = new Set(
    rows.map(({ consumer, name, type }) => `${consumer} ${formatEventName(name, type)}`),
  );
  for (const [consumer, names] of wanted) {
    for (const given of names) {
      const { name, entityTypeId } = parseEventName(given);
      const wantedName = formatEventName(name, entityTypeId);
      const isThere = stored.has(`${consumer} ${wantedName}`);
      parts.push({
        kind: 'subscription',
        name: wantedName,
        consumer,
        state: isThere ? 'ok' : 'missing',
        detail: isThere ? null : 'no event of this name is kept for it; it subscribes at its next start',
      });
    }
  }
  return parts;
}

async function checkTables(database: pg.Pool): Promise<TopologyPart[]> {
  const { rows } = await database.query<{ name: string; there: boolean }>(
    `SELECT name, to_regclass('bus.' || name) IS NOT NULL AS there FROM unnest($1::text[]) AS name`,
    [TABLES],
  );
  return rows.map(({ name, there }) => ({
    kind: 'table',
    name: `bus.${name}`,
    consumer: null,
    state: there ? 'ok' : 'missing',
    detail: there ? null : 'npm run migrate makes it',
  }));
}
