import type pg from 'pg';
import {
  LATE_LETTERS,
  NoSuchConsumerError,
  SCAN_LIMIT,
  type DeadLetterPlace,
  type DeadLetterReader,
  type DeadLetterRecord,
  type DeadLetterStore,
  type DeadLetterSelector,
  type LettersInPlace,
  type ScanResult,
} from '../../admin/dead-letter-store.js';
import { STAMP_CTE } from '../fetch-cursors.js';
import { knowsConsumer } from './consumer-rows.js';

/** One row may have a quarter of a megabyte. */
const PAGE_ROWS = 100;

// Member ids are parsed outside of SQL: PostgreSQL's JSON functions reject a whole query for one invalid escape in one row.
const COLUMNS = `
  id, code, message, attempts, content::text AS content,
  (extract(epoch FROM first_failed_at) * 1000)::float8 AS "firstFailedAt",
  (extract(epoch FROM last_failed_at) * 1000)::float8 AS "lastFailedAt"`;

const PAGE_SQL = `
  SELECT ${COLUMNS} FROM bus.dead_letters
  WHERE consumer = $1 AND id > $2 AND ($4::bigint IS NULL OR id = $4)
    AND ($5::timestamptz IS NULL OR last_failed_at >= $5) AND ($6::timestamptz IS NULL OR last_failed_at <= $6)
    AND ($7::text IS NULL OR position($7 IN content::text) > 0)
  ORDER BY id LIMIT $3`;

// By the primary key, one by one: of a table that has grown since it was analyzed, the planner would read all letters of the consumer.
const BY_IDS_SQL = `
  SELECT ${COLUMNS} FROM unnest($2::bigint[]) AS wanted (wanted_id)
  CROSS JOIN LATERAL (SELECT * FROM bus.dead_letters WHERE id = wanted_id AND consumer = $1 OFFSET 0) AS letters
  ORDER BY id`;

// One text: fifty thousand rows of one id each take the client three times as long.
const IDS_SQL = `
  SELECT string_agg(id::text, ',' ORDER BY id) AS ids
  FROM (SELECT id FROM bus.dead_letters WHERE consumer = $1 AND id > $2 ORDER BY id LIMIT $3) AS listed`;

/** Of a bigint; anything else is the id of no letter. */
const ID = /^\d{1,18}$/;

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
export class PostgresDeadLetterStore implements DeadLetterStore, LettersInPlace {
  readonly inPlace = this;

  constructor(private readonly database: Database) {}

  async countToRead(): Promise<number> {
    return 0;
  }

  scan(
    consumer: string,
    see: (letter: DeadLetterRecord) => void,
    rest?: () => Promise<boolean>,
  ): Promise<ScanResult> {
    const pass = (letter: DeadLetterRecord): boolean => {
      see(letter);
      return true;
    };
    return this.readPages(consumer, {}, pass, rest);
  }

  /** Rows stay where they are. */
  unacknowledged(): number {
    return 0;
  }

  read(
    consumer: string,
    place: DeadLetterPlace,
    see: (letter: DeadLetterRecord) => boolean,
  ): Promise<ScanResult> {
    return this.readPages(consumer, place, see);
  }

  async listIds(consumer: string, known: string | undefined, limit: number): Promise<string[]> {
    await this.requireConsumer(consumer);
    const after = known === undefined ? '0' : String(BigInt(known) - BigInt(LATE_LETTERS));
    const { rows } = await this.database.query<{ ids: string | null }>(IDS_SQL, [consumer, after, limit]);
    return rows[0]?.ids?.split(',') ?? [];
  }

  async readIds(
    consumer: string,
    ids: readonly string[],
    see: (letter: DeadLetterRecord) => void,
    rest: () => Promise<boolean>,
  ): Promise<boolean> {
    for (let from = 0; from < ids.length; from += PAGE_ROWS) {
      if (from > 0 && !(await rest())) return false;
      const values = [consumer, ids.slice(from, from + PAGE_ROWS)];
      const { rows } = await this.database.query<LetterRow>(BY_IDS_SQL, values);
      for (const row of rows) see(letterOf(consumer, row));
    }
    return true;
  }

  private async readPages(
    consumer: string,
    { after: before = '0', ...place }: DeadLetterPlace,
    see: (letter: DeadLetterRecord) => boolean,
    rest: () => Promise<boolean> = async () => true,
  ): Promise<ScanResult> {
    await this.requireConsumer(consumer);
    if (place.id !== undefined && !ID.test(place.id)) return { more: false };
    let [examined, after] = [0, ID.test(before) ? before : '0'];
    for (;;) {
      const page = await readPage(this.database, consumer, after, place);
      for (const letter of page) {
        if (examined === SCAN_LIMIT) return { more: true };
        examined += 1;
        if (!see(letter)) return { more: letter !== page.at(-1) || page.length === PAGE_ROWS };
      }
      const last = page.at(-1);
      if (!last || page.length < PAGE_ROWS) return { more: false };
      after = last.id;
      if (!(await rest())) return { more: true };
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

async function readPage(
  database: Database,
  consumer: string,
  after: string,
  { id, since, until, memberId }: DeadLetterPlace = {},
): Promise<DeadLetterRecord[]> {
  const values = [consumer, after, PAGE_ROWS, id, since, until, memberId];
  const { rows } = await database.query<LetterRow>(PAGE_SQL, values);
  return rows.map((row) => letterOf(consumer, row));
}

interface LetterRow extends Omit<DeadLetterRecord, 'consumer' | 'content'> {
  content: string;
}

function letterOf(consumer: string, { content, ...row }: LetterRow): DeadLetterRecord {
  return { ...row, consumer, content: Buffer.from(content) };
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

  async replay(): Promise<string | undefined> {
    const [letter] = this.selected;
    if (!letter) throw new RangeError('No dead letter was found');
    const { rowCount } = await this.database.query(REPLAY_SQL, [this.consumer, letter.id]);
    this.selected.shift();
    return rowCount === 0 ? undefined : letter.id;
  }

  async close(): Promise<void> {
    this.selected = [];
  }
}
