import { decodeMessage } from '@relay/events';
import { DatabaseClient, type Log } from '@relay/platform';
import type pg from 'pg';
import { ShardLeases } from '../postgres/shard-leases.js';
import { emptyResult, type MoveParts, type MoveResult, type MoveSource, type MoveTarget } from './moved.js';

const BATCH_SIZE = 100;
const CONNECT_TIMEOUT_MS = 5_000;
const QUERY_TIMEOUT_MS = 30_000;

const CONSUMERS_SQL = `
  SELECT consumer FROM bus.messages UNION SELECT consumer FROM bus.dead_letters ORDER BY consumer`;

const MESSAGES_SQL = `
  SELECT id, shard, content::text AS content, attempts, last_code AS code,
         (extract(epoch FROM first_failed_at) * 1000)::float8 AS "firstFailedAt",
         greatest(0, extract(epoch FROM available_at - clock_timestamp()) * 1000)::float8 AS "dueInMs"
  FROM bus.messages WHERE consumer = $3 AND shard = ANY ($4::int[]) AND id > $1 ORDER BY id LIMIT $2`;

const LETTERS_SQL = `
  SELECT id, code, message, attempts, content::text AS content,
         (extract(epoch FROM first_failed_at) * 1000)::float8 AS "firstFailedAt",
         (extract(epoch FROM last_failed_at) * 1000)::float8 AS "lastFailedAt"
  FROM bus.dead_letters WHERE consumer = $3 AND id > $1 ORDER BY id LIMIT $2`;

const UNROUTED_SQL = `
  SELECT id, content::text AS content FROM bus.unrouted WHERE id > $1 ORDER BY id LIMIT $2`;

interface MessageRow {
  id: string;
  shard: number;
  content: string;
  attempts: number;
  code: string | null;
  firstFailedAt: number | null;
  dueInMs: number;
}

interface LetterRow {
  id: string;
  code: string;
  message: string;
  attempts: number;
  content: string;
  firstFailedAt: number;
  lastFailedAt: number;
}

interface UnroutedRow {
  id: string;
  content: string;
}

/** The tables of the PostgreSQL bus, while RabbitMQ is the bus in use. */
export class PostgresSource implements MoveSource {
  readonly name = 'the tables of schema bus';

  constructor(
    private readonly databaseUrl: string,
    private readonly log: Log,
  ) {}

  async move(parts: MoveParts): Promise<MoveResult> {
    const client = await this.connect();
    try {
      const round = emptyResult();
      const { rows } = await client.query<{ consumer: string }>(CONSUMERS_SQL);
      // A message that the target rejects, for example for a queue with other arguments, does not block the others.
      const failures: unknown[] = [];
      for (const { consumer } of rows) {
        await this.moveConsumer(consumer, parts, round).catch((error: unknown) => failures.push(error));
      }
      await moveUnrouted(client, parts, round);
      if (failures.length > 0) throw failures[0];
      return round;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  /**
   * Uses its own session, which holds the shard leases like a process of the consumer: no process takes them
   * meanwhile.
   */
  private async moveConsumer(consumer: string, parts: MoveParts, round: MoveResult): Promise<void> {
    const client = await this.connect();
    let target: MoveTarget | undefined;
    try {
      const leases = new ShardLeases(client, consumer, this.log);
      await leases.prepare();
      const owned = await leases.keep();
      target = await parts.openTarget(consumer);
      await moveMessages(client, { consumer, owned }, target, parts, round);
      await moveLetters(client, consumer, target, parts, round);
      const { rows } = await client.query('SELECT FROM bus.messages WHERE consumer = $1 LIMIT 1', [consumer]);
      if (rows.length > 0 && round.done) round.served.push(consumer);
    } finally {
      await target?.close();
      await client.end().catch(() => undefined);
    }
  }

  private async connect(): Promise<pg.Client> {
    const client = new DatabaseClient({
      connectionString: this.databaseUrl,
      application_name: 'b24-relay bus move',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
      keepAlive: true,
    });
    await client.connect();
    return client;
  }
}

async function moveMessages(
  client: pg.Client,
  { consumer, owned }: { consumer: string; owned: readonly number[] },
  target: MoveTarget,
  parts: MoveParts,
  round: MoveResult,
): Promise<void> {
  const move = async ({ content, firstFailedAt, code, ...row }: MessageRow): Promise<boolean> => {
    await target.message({
      ...row,
      content: Buffer.from(content),
      firstFailedAt: firstFailedAt ?? undefined,
      code: code ?? undefined,
    });
    return true;
  };
  const read = async (after: string): Promise<MessageRow[]> =>
    (await client.query<MessageRow>(MESSAGES_SQL, [after, BATCH_SIZE, consumer, owned])).rows;
  await moveRows(client, 'messages', { read, move }, parts, round);
}

async function moveLetters(
  client: pg.Client,
  consumer: string,
  target: MoveTarget,
  parts: MoveParts,
  round: MoveResult,
): Promise<void> {
  const move = async ({ content, ...row }: LetterRow): Promise<boolean> => {
    await target.deadLetter({ ...row, content: Buffer.from(content) });
    return true;
  };
  const read = async (after: string): Promise<LetterRow[]> =>
    (await client.query<LetterRow>(LETTERS_SQL, [after, BATCH_SIZE, consumer])).rows;
  await moveRows(client, 'dead_letters', { read, move }, parts, round);
}

/** Unreadable messages stay; those of a newer version stay for that version. */
async function moveUnrouted(client: pg.Client, parts: MoveParts, round: MoveResult): Promise<void> {
  const move = async (row: UnroutedRow): Promise<boolean> => {
    const content = Buffer.from(row.content);
    if (!isReadable(content)) return false;
    await parts.publish(content);
    return true;
  };
  const read = async (after: string): Promise<UnroutedRow[]> =>
    (await client.query<UnroutedRow>(UNROUTED_SQL, [after, BATCH_SIZE])).rows;
  await moveRows(client, 'unrouted', { read, move }, parts, round);
}

const COUNTED_AS = { messages: 'messages', dead_letters: 'letters', unrouted: 'unrouted' } as const;

/**
 * A message that the target rejects stays and does not block those behind it.
 * @param work `read`: the oldest after an id; `move`: false when the message stays without an error
 * @throws the first rejection, after the others were moved
 */
async function moveRows<R extends { id: string }>(
  client: pg.Client,
  table: keyof typeof COUNTED_AS,
  { read, move }: { read: (after: string) => Promise<R[]>; move: (row: R) => Promise<boolean> },
  { isOver }: Pick<MoveParts, 'isOver'>,
  round: MoveResult,
): Promise<void> {
  let failure: PromiseRejectedResult | undefined;
  for (let after = '0'; ;) {
    const rows = await read(after);
    const last = rows.at(-1);
    if (!last) break;
    if (isOver()) {
      round.done = false;
      break;
    }
    const results = await Promise.allSettled(rows.map(move));
    const moved = rows.filter((_, index) => {
      const result = results[index];
      return result?.status === 'fulfilled' && result.value;
    });
    await client.query(`DELETE FROM bus.${table} WHERE id = ANY ($1::bigint[])`, [moved.map(({ id }) => id)]);
    round[COUNTED_AS[table]] += moved.length;
    failure ??= results.find((result) => result.status === 'rejected');
    after = last.id;
  }
  if (failure) throw failure.reason;
}

/** Whether it can be routed again. */
export function isReadable(content: Buffer): boolean {
  try {
    decodeMessage(content);
    return true;
  } catch {
    return false;
  }
}
