import type pg from 'pg';
import type {
  BusCare,
  ConsumerStatus,
  Retirement,
  RetireOptions,
  TopologyPart,
  UnroutedEvents,
  UnroutedFilter,
  UnroutedReplay,
} from '../../care/bus-care.js';
import { DeadLetters } from '../../care/dead-letters.js';
import { OperatorLock, UNROUTED } from '../../care/operator-lock.js';
import { reportedProcesses } from '../../care/reported-processes.js';
import { storedShards } from '../../care/stored-shards.js';
import { UnroutedTally } from '../../care/unrouted.js';
import { checkTopology } from './check-topology.js';
import { countsOf, knownConsumers, knowsConsumer } from './consumer-counts.js';
import { PostgresShelf } from './postgres-shelf.js';
import { replayUnrouted } from './replay-unrouted.js';
import { wakeRetries } from './wake-retries.js';
import { removeConsumer, unsubscribe } from './retire.js';

export interface PostgresCareOptions {
  /** Closed with this. */
  database: pg.Pool;
  databaseUrl: string;
}

/** One may have a quarter of a megabyte. */
const unroutedPageRows = 100;

/** What an operator sees and does where the bus lives in PostgreSQL: all of it is in the tables of schema `bus`. */
export class PostgresCare implements BusCare {
  readonly deadLetters: DeadLetters;
  readonly #database: pg.Pool;
  readonly #lock: OperatorLock;

  constructor({ database, databaseUrl }: PostgresCareOptions) {
    this.#database = database;
    this.#lock = new OperatorLock(databaseUrl);
    this.deadLetters = new DeadLetters(new PostgresShelf(database), this.#lock);
  }

  knownConsumers(): Promise<string[]> {
    return knownConsumers(this.#database);
  }

  async statusOf(consumer: string): Promise<ConsumerStatus> {
    const [counts, processes, known] = await Promise.all([
      countsOf(this.#database, consumer),
      reportedProcesses(this.#database, consumer),
      knowsConsumer(this.#database, consumer),
    ]);
    const { taken, retrying, newer, dead, oldestAt, shardsServed } = counts;
    // Of a process that was killed: the next one frees what it had taken.
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
    const tally = new UnroutedTally();
    for (let after = '0'; ;) {
      const { rows } = await this.#database.query<{ id: string; content: string }>(
        'SELECT id, content::text AS content FROM bus.unrouted WHERE id > $1 ORDER BY id LIMIT $2',
        [after, unroutedPageRows],
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
    return this.#lock.hold(UNROUTED, () => replayUnrouted(this.#database, wanted, filter));
  }

  wake(consumer: string, memberIds: ReadonlySet<string>): Promise<number> {
    return wakeRetries(this.#database, consumer, memberIds);
  }

  async topology(wanted: ReadonlyMap<string, readonly string[]>): Promise<TopologyPart[]> {
    return [await storedShards(this.#database), ...(await checkTopology(this.#database, wanted))];
  }

  retire(consumer: string, { drain = false, drop = false }: RetireOptions): Promise<Retirement> {
    return this.#lock.hold(consumer, async () => {
      if (drain) {
        await unsubscribe(this.#database, consumer);
        return { outcome: 'draining', status: await this.statusOf(consumer) };
      }
      const removal = await removeConsumer(this.#database, consumer, drop);
      if (removal.removed) return { outcome: 'retired', dropped: removal.dropped };
      const status = await this.statusOf(consumer);
      return { outcome: 'refused', because: removal.because, status, unsubscribed: false };
    });
  }

  close(): Promise<void> {
    return this.#database.end();
  }
}
