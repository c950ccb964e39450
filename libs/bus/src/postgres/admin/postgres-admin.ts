import type pg from 'pg';
import type {
  BusAdmin,
  ConsumerStatus,
  Retirement,
  RetireOptions,
  TopologyPart,
  UnroutedEvents,
  UnroutedFilter,
  UnroutedReplay,
} from '../../admin/bus-admin.js';
import { DeadLetters } from '../../admin/dead-letters.js';
import { OperatorLock, UNROUTED } from '../../admin/operator-lock.js';
import { reportedProcesses } from '../../admin/reported-processes.js';
import { storedShards } from '../../admin/stored-shards.js';
import { UnroutedCounts } from '../../admin/unrouted.js';
import { checkTopology } from './check-topology.js';
import { countsOf, knownConsumers, knowsConsumer } from './consumer-counts.js';
import { PostgresDeadLetterStore } from './postgres-dead-letter-store.js';
import { replayUnrouted } from './replay-unrouted.js';
import { wakeRetries } from './wake-retries.js';
import { removeConsumer, unsubscribe } from './retire.js';

export interface PostgresAdminOptions {
  /** Closed with this object. */
  database: pg.Pool;
  databaseUrl: string;
}

/** One row may have a quarter of a megabyte. */
const UNROUTED_PAGE_ROWS = 100;

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
    const [counts, processes, known] = await Promise.all([
      countsOf(this.database, consumer),
      reportedProcesses(this.database, consumer),
      knowsConsumer(this.database, consumer),
    ]);
    const { taken, retrying, newer, dead, oldestAt, shardsServed } = counts;
    // Taken by a process that was killed: the next owner of the shard frees these rows.
    const abandoned = shardsServed === 0 ? taken : 0;
    const waiting = counts.waiting + abandoned;
    return {
      consumer,
      waiting,
      inHand: taken - abandoned,
      retrying,
      newer,
      dead,
      oldestAt,
      shardsServed,
      processes,
      missing: shardsServed === 0 && waiting + retrying > 0,
      unknown: !known,
    };
  }

  async unrouted(): Promise<UnroutedEvents[]> {
    const tally = new UnroutedCounts();
    for (let after = '0'; ;) {
      const { rows } = await this.database.query<{ id: string; content: string }>(
        'SELECT id, content::text AS content FROM bus.unrouted WHERE id > $1 ORDER BY id LIMIT $2',
        [after, UNROUTED_PAGE_ROWS],
      );
      for (const { content } of rows) tally.add(Buffer.from(content));
      const last = rows.at(-1);
      if (!last) return tally.result();
      after = last.id;
    }
  }

  replayUnrouted(
    wanted: ReadonlyMap<string, readonly string[]>,
    filter: UnroutedFilter,
  ): Promise<UnroutedReplay> {
    return this.lock.hold(UNROUTED, () => replayUnrouted(this.database, wanted, filter));
  }

  wake(consumer: string, memberIds: ReadonlySet<string>): Promise<number> {
    return wakeRetries(this.database, consumer, memberIds);
  }

  async topology(wanted: ReadonlyMap<string, readonly string[]>): Promise<TopologyPart[]> {
    return [await storedShards(this.database), ...(await checkTopology(this.database, wanted))];
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
      return { outcome: 'refused', because: removal.because, status, unsubscribed: false };
    });
  }

  async close(): Promise<void> {
    await this.deadLetters.close();
    await this.database.end();
  }
}
