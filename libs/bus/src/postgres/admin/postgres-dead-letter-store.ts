import type pg from 'pg';
import {
  NoSuchConsumerError,
  SCAN_LIMIT,
  type DeadLetterReader,
  type DeadLetterRecord,
  type DeadLetterStore,
  type DeadLetterSelector,
  type ScanResult,
} from '../../admin/dead-letter-store.js';
import { STAMP_CTE } from '../stamp.js';
import { knowsConsumer } from './consumer-rows.js';

/** One row may have a quarter of a megabyte. */
const PAGE_ROWS = 100;

const PAGE_SQL = `
  SELECT id, code, message, attempts, content::text AS content,
         (extract(epoch FROM first_failed_at) * 1000)::float8 AS "firstFailedAt",
         (extract(epoch FROM last_failed_at) * 1000)::float8 AS "lastFailedAt"
  FROM bus.dead_letters WHERE consumer = $1 AND id > $2 ORDER BY id LIMIT $3`;

const LAST_SQL = 'SELECT coalesce(max(id), 0) AS last FROM bus.dead_letters WHERE consumer = $1';

// One statement, so that a letter exists in exactly one table, and a concurrent replay finds none.
const REPLAY_SQL = `
  WITH ${STAMP_CTE}, gone AS (
    DELETE FROM bus.dead_letters WHERE consumer = $1 AND id = $2 RETURNING consumer, shard, content
  ), back AS (
    INSERT INTO bus.messages (consumer, shard, content, available_at)
    SELECT consumer, shard, content, at FROM gone, stamp
    RETURNING consumer
  )
  SELECT pg_notify('b24.bus.' || consumer, '') FROM back`;

type Database = Pick<pg.Pool, 'query'>;

/** The consumer's rows of `bus.dead_letters`. */
export class PostgresDeadLetterStore implements DeadLetterStore {
  constructor(private readonly database: Database) {}

  async scan(consumer: string, see: (letter: DeadLetterRecord) => void): Promise<ScanResult> {
    await this.requireConsumer(consumer);
    let [examined, after] = [0, '0'];
    for (;;) {
      const page = await readPage(this.database, consumer, after);
      for (const letter of page.slice(0, SCAN_LIMIT - examined)) see(letter);
      examined += page.length;
      const last = page.at(-1);
      if (!last || examined > SCAN_LIMIT) return { more: examined > SCAN_LIMIT };
      after = last.id;
    }
  }

  async drop(consumer: string, selects: DeadLetterSelector): Promise<ScanResult & { dropped: number }> {
    const ids: string[] = [];
    const scan = await this.scan(consumer, (letter) => {
      if (selects(letter)) ids.push(letter.id);
    });
    const { rowCount } = await this.database.query(
      'DELETE FROM bus.dead_letters WHERE consumer = $1 AND id = ANY ($2::bigint[])',
      [consumer, ids],
    );
    return { ...scan, dropped: rowCount ?? 0 };
  }

  async openReader(consumer: string, selects: DeadLetterSelector): Promise<DeadLetterReader> {
    await this.requireConsumer(consumer);
    const { rows } = await this.database.query<{ last: string }>(LAST_SQL, [consumer]);
    return new PostgresDeadLetterReader(this.database, consumer, selects, BigInt(rows[0]?.last ?? 0));
  }

  private async requireConsumer(consumer: string): Promise<void> {
    if (!(await knowsConsumer(this.database, consumer))) throw new NoSuchConsumerError(consumer);
  }
}

async function readPage(database: Database, consumer: string, after: string): Promise<DeadLetterRecord[]> {
  const values = [consumer, after, PAGE_ROWS];
  const { rows } = await database.query<Omit<DeadLetterRecord, 'consumer' | 'content'> & { content: string }>(
    PAGE_SQL,
    values,
  );
  return rows.map(({ content, ...row }) => ({ ...row, consumer, content: Buffer.from(content) }));
}

/** Reads forward by id. Rows stay in the table until they are replayed, so it holds nothing. */
class PostgresDeadLetterReader implements DeadLetterReader {
  readonly complete = true;
  readonly unacknowledged = 0;
  readonly isLost = false;
  private selected: DeadLetterRecord[] = [];
  private after = '0';

  constructor(
    private readonly database: Database,
    private readonly consumer: string,
    private readonly selects: DeadLetterSelector,
    /** The newest letter when the replay began. */
    private readonly last: bigint,
  ) {}

  async find(deadline: number): Promise<'found' | 'end' | 'not yet'> {
    while (this.selected.length === 0) {
      if (BigInt(this.after) >= this.last) return 'end';
      if (performance.now() >= deadline) return 'not yet';
      const page = await readPage(this.database, this.consumer, this.after);
      this.selected = page.filter((letter) => BigInt(letter.id) <= this.last && this.selects(letter));
      this.after = page.at(-1)?.id ?? String(this.last);
    }
    return 'found';
  }

  async replay(): Promise<boolean> {
    const [letter] = this.selected;
    if (!letter) throw new RangeError('No dead letter was found');
    const { rowCount } = await this.database.query(REPLAY_SQL, [this.consumer, letter.id]);
    this.selected.shift();
    return rowCount !== 0;
  }

  async close(): Promise<void> {
    this.selected = [];
  }
}
