import type pg from 'pg';
import { NoSuchConsumerError } from '../../care/bus-care.js';
import {
  lookLimit,
  type DeadLetterShelf,
  type Pick,
  type Picked,
  type Sight,
} from '../../care/dead-letter-shelf.js';
import type { StoredLetter } from '../../care/dead-letter.js';
import { knowsConsumer } from './consumer-counts.js';

const pageRows = 500;

const pageSql = `
  SELECT id, code, message, attempts, content::text AS content,
         (extract(epoch FROM first_failed_at) * 1000)::float8 AS "firstFailedAt",
         (extract(epoch FROM last_failed_at) * 1000)::float8 AS "lastFailedAt"
  FROM bus.dead_letters WHERE consumer = $1 AND id > $2 ORDER BY id LIMIT $3`;

// One statement: a letter is either here or there, and whoever comes second finds none.
const replaySql = `
  WITH gone AS (
    DELETE FROM bus.dead_letters WHERE consumer = $1 AND id = $2 RETURNING consumer, shard, content
  ), back AS (
    INSERT INTO bus.messages (consumer, shard, content) SELECT consumer, shard, content FROM gone
    RETURNING consumer
  )
  SELECT pg_notify('b24.bus.' || consumer, '') FROM back`;

interface Row {
  id: string;
  code: string;
  message: string;
  attempts: number;
  content: string;
  firstFailedAt: number;
  lastFailedAt: number;
}

/** The consumer's rows of `bus.dead_letters`. */
export class PostgresShelf implements DeadLetterShelf {
  constructor(private readonly database: pg.Pool) {}

  async look<T>(
    consumer: string,
    pick: Pick,
    work: (picked: Picked, sight: Sight) => Promise<T>,
  ): Promise<T> {
    if (!(await knowsConsumer(this.database, consumer))) throw new NoSuchConsumerError(consumer);
    const ids: string[] = [];
    const sight: Sight = { examined: 0, more: false };
    let page: Row[] = [];
    for (let after = '0'; sight.examined <= lookLimit; after = page.at(-1)?.id ?? after) {
      ({ rows: page } = await this.database.query<Row>(pageSql, [consumer, after, pageRows]));
      if (page.length === 0) break;
      sight.more = sight.examined + page.length > lookLimit;
      for (const row of page.slice(0, lookLimit - sight.examined)) {
        if (pick(letterOf(consumer, row)) !== 'no') ids.push(row.id);
      }
      sight.examined += page.length;
    }
    return work(new PickedRows(this.database, consumer, ids), sight);
  }
}

class PickedRows implements Picked {
  constructor(
    private readonly database: pg.Pool,
    private readonly consumer: string,
    private readonly ids: readonly string[],
  ) {}

  get count(): number {
    return this.ids.length;
  }

  async replay(index: number): Promise<void> {
    await this.database.query(replaySql, [this.consumer, this.ids[index]]);
  }

  async drop(): Promise<void> {
    await this.database.query(
      'DELETE FROM bus.dead_letters WHERE consumer = $1 AND id = ANY ($2::bigint[])',
      [this.consumer, this.ids],
    );
  }
}

function letterOf(consumer: string, { content, ...row }: Row): StoredLetter {
  return { ...row, consumer, content: Buffer.from(content) };
}
