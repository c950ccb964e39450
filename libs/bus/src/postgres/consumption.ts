import { decodeMessage, isOfNewerVersion, parseEventName, type PortalEvent } from '@relay/events';
import { type Log, waitAtMost } from '@relay/platform';
import pLimit from 'p-limit';
import pg from 'pg';
import { type BusHealth, ConnectionReport } from '../connection/connection-report.js';
import { Reconnector, type Session } from '../connection/reconnector.js';
import type { Consumption, ConsumeOptions } from '../contract/event-bus.js';
import { toFailure } from '../contract/failure.js';
import { NEWER_CODE, NewerMessages } from '../contract/newer-messages.js';
import { shards } from '../contract/shard.js';
import { wakeChannel } from './publisher.js';
import { PostgresReceipt, type SettleContext, type Settlement, Settlements } from './receipt.js';
import { ShardLeases } from './shard-leases.js';
import { FetchCursors, type FetchSnapshot } from './fetch-cursors.js';

interface SessionOptions {
  consumer: string;
  receive: ConsumeOptions['receive'];
  /** Maximum unacknowledged deliveries per shard. */
  prefetch: number;
  retryDelaysMs: readonly number[];
  log: Log;
  newer: NewerMessages;
  /** How often to poll without a notification: for messages whose delay has expired and for abandoned shards. */
  pollMs: number;
}

const CONNECT_TIMEOUT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 2_000;
/** A database that does not answer for this long is taken as down. */
const QUERY_TIMEOUT_MS = 15_000;

/**
 * Fetches and settlements need not be on the disk: what a crash of the server undoes is delivered once more. The planner
 * knows a queue that was empty or full when it was last analyzed: only the indexes serve a fetch or a settlement at any
 * time.
 */
const SETTINGS = [
  'SET synchronous_commit = off',
  'SET enable_seqscan = off',
  'SET enable_bitmapscan = off',
  'SET plan_cache_mode = force_generic_plan',
  'SET jit = off',
];

/**
 * How often one shard, in turn, is read from its oldest row: finds what a cursor has missed, because the clock of the
 * server was set back a little, or another program wrote the row.
 */
const REREAD_EVERY_MS = 5_000;

/** One consumer of this process: a session that fetches its shards' messages, reopened whenever it ends. */
export class PostgresConsumption implements Consumption {
  private readonly sessions: Reconnector<ConsumeSession>;
  /**
   * Subscribes once per start: a reconnect must not undo what a newer version of the consumer has subscribed since.
   */
  private subscribed = false;

  private readonly newerMessages: NewerMessages;

  constructor(
    url: string,
    names: ConsumeOptions['names'],
    options: Omit<SessionOptions, 'newer'>,
    busHealth?: BusHealth,
  ) {
    this.newerMessages = new NewerMessages(options.consumer, options.log);
    const session = { ...options, newer: this.newerMessages };
    this.sessions = new Reconnector({
      report: new ConnectionReport({
        name: `consume ${options.consumer}`,
        address: 'DATABASE_URL',
        log: options.log,
        busHealth,
      }),
      open: (onEnd) =>
        ConsumeSession.open(url, session, onEnd, async (client) => {
          if (!this.subscribed) await subscribe(client, options.consumer, names);
          this.subscribed = true;
        }),
    });
  }

  /** Resolves when the subscription is stored. */
  async start(signal?: AbortSignal): Promise<void> {
    await this.sessions.start();
    await this.sessions.opened(signal);
  }

  isReady(): boolean {
    return this.sessions.current !== undefined;
  }

  newer(): number {
    return this.newerMessages.count;
  }

  stop(): Promise<void> {
    return this.sessions.close();
  }
}

/**
 * Fetches messages, settles them and holds the shard leases on one connection: whatever ends the connection ends all
 * three at once, so a process that has lost its leases cannot settle, and another one takes over as soon as PostgreSQL
 * notices the end.
 */
class ConsumeSession implements Session, SettleContext {
  open = true;
  readonly consumer: string;
  readonly log: Log;
  readonly retryDelaysMs: readonly number[];
  /** pg 9 takes no query while another one is running. */
  private readonly serialize = pLimit(1);
  private readonly settlements: Settlements;
  private readonly leases: ShardLeases;
  /** Free capacity by owned shard. */
  private readonly room = new Map<number, number>();
  /** Owned shards that had more due rows than room at their last fetch. */
  private readonly backlogged = new Set<number>();
  private readonly cursors = new FetchCursors();
  private rereads = 0;
  private rereadAt = performance.now();
  private poll: NodeJS.Timeout | undefined;
  private isFetching = false;
  private fetchAgain = false;

  private constructor(
    private readonly client: pg.Client,
    private readonly options: SessionOptions,
    private readonly onEnd: (cause: Error) => void,
  ) {
    this.consumer = options.consumer;
    this.log = options.log;
    this.retryDelaysMs = options.retryDelaysMs;
    this.settlements = new Settlements(client, this.serialize);
    this.leases = new ShardLeases(client, options.consumer, options.log);
  }

  static async open(
    url: string,
    options: SessionOptions,
    onEnd: (cause: Error) => void,
    prepare: (client: pg.Client) => Promise<void>,
  ): Promise<ConsumeSession> {
    const client = new pg.Client({
      connectionString: url,
      application_name: `b24-relay bus ${options.consumer}`,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
      keepAlive: true,
    });
    const session = new ConsumeSession(client, options, onEnd);
    client.on('error', (cause) => session.end(cause));
    client.on('end', () => session.end(new Error('The connection was closed')));
    client.on('notification', () => session.wake());
    try {
      await client.connect();
      await prepare(client);
      await session.begin();
      return session;
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  async settle(shard: number, settlement: Settlement): Promise<void> {
    try {
      await this.settlements.add(settlement);
    } catch (cause) {
      this.end(new Error('A settlement could not be written', { cause }));
      return;
    }
    this.room.set(shard, (this.room.get(shard) ?? 0) + 1);
    if (this.backlogged.has(shard)) this.wake();
  }

  async close(): Promise<void> {
    this.open = false;
    clearInterval(this.poll);
    await waitAtMost(
      this.client.end().catch(() => undefined),
      CLOSE_TIMEOUT_MS,
    );
  }

  private async begin(): Promise<void> {
    await this.leases.prepare();
    for (const setting of SETTINGS) await this.client.query(setting);
    await this.client.query(`LISTEN ${pg.escapeIdentifier(wakeChannel(this.consumer))}`);
    await this.serialize(() => this.keepShards());
    this.poll = setInterval(() => void this.keepAndWake(), this.options.pollMs);
    this.wake();
  }

  private async keepAndWake(): Promise<void> {
    try {
      await this.serialize(async () => {
        await this.keepShards();
        this.rereadOne();
      });
    } catch (cause) {
      this.end(new Error('The shards could not be kept', { cause }));
    }
    this.wake();
  }

  private async keepShards(): Promise<void> {
    for (const shard of await this.leases.keep()) {
      this.room.set(shard, this.options.prefetch);
      this.cursors.reset(shard);
    }
  }

  private rereadOne(): void {
    const now = performance.now();
    if (now - this.rereadAt < REREAD_EVERY_MS) return;
    this.rereadAt = now;
    this.cursors.reset(this.rereads++ % shards.length);
  }

  /** Fetches messages; a call while some are being fetched triggers another fetch after it. */
  private wake(): void {
    if (!this.open) return;
    if (this.isFetching) {
      this.fetchAgain = true;
      return;
    }
    this.isFetching = true;
    void this.fetch().finally(() => {
      this.isFetching = false;
      if (this.fetchAgain) this.wake();
    });
  }

  private async fetch(): Promise<void> {
    this.fetchAgain = false;
    try {
      const rows = await this.serialize(() => this.fetchRows());
      for (const row of rows) if (this.open) this.deliver(row);
      this.fetchAgain ||= [...this.backlogged].some((shard) => (this.room.get(shard) ?? 0) > 0);
    } catch (cause) {
      this.end(new Error('Messages could not be taken', { cause }));
    }
  }

  /**
   * Fetches due rows, the oldest first, at most as many per shard as it has capacity for. Queries even without capacity:
   * the server ends a session that sends nothing.
   */
  private async fetchRows(): Promise<MessageRow[]> {
    const limits = new Map<number, number>();
    for (const [shard, free] of this.room) {
      if (free > 0) limits.set(shard, Math.min(free, MAX_ROWS_PER_SHARD));
    }
    const { snapshot, cut, rows } = await fetchRows(this.client, this.consumer, limits, this.cursors);
    const fetched = new Map<number, { count: number; last: number }>();
    for (const { shard, availableAt } of rows) {
      fetched.set(shard, { count: (fetched.get(shard)?.count ?? 0) + 1, last: availableAt });
    }
    const reached = new Map<number, number | undefined>();
    for (const [shard, limit] of limits) {
      const { count = 0, last } = fetched.get(shard) ?? {};
      const isLimited = count >= limit || cut.has(shard);
      if (isLimited) this.backlogged.add(shard);
      else this.backlogged.delete(shard);
      // Without one, somebody else has deleted what was to be taken: it is read from there again.
      if (!isLimited || last !== undefined) reached.set(shard, isLimited ? last : undefined);
    }
    this.cursors.advance(snapshot, reached);
    return rows;
  }

  private deliver(row: MessageRow): void {
    this.room.set(row.shard, (this.room.get(row.shard) ?? 0) - 1);
    const { id, shard, attempts, deliveryCount, firstFailedAt } = row;
    const receipt = new PostgresReceipt(this, { id, shard, attempts, deliveryCount, firstFailedAt });
    let event: PortalEvent;
    try {
      event = decodeMessage(Buffer.from(row.content));
    } catch (error) {
      if (isOfNewerVersion(error)) {
        void receipt.defer(this.options.newer.note(id), NEWER_CODE);
        return;
      }
      void receipt.dead({ code: 'UNDECODABLE', message: toFailure(error).message });
      return;
    }
    this.options.receive({ event, receipt });
  }

  private end(cause: Error): void {
    this.open = false;
    this.onEnd(cause);
  }
}

const SUBSCRIBE_SQL = `
  WITH wanted AS (
    SELECT DISTINCT name, entity_type_id FROM unnest($2::text[], $3::int[]) AS w (name, entity_type_id)
  ), gone AS (
    DELETE FROM bus.subscriptions
    WHERE consumer = $1 AND (name, entity_type_id) NOT IN (SELECT name, entity_type_id FROM wanted)
  )
  INSERT INTO bus.subscriptions (consumer, name, entity_type_id) SELECT $1, name, entity_type_id FROM wanted
  ON CONFLICT DO NOTHING`;

/**
 * From now on every event of these names is stored for the consumer, and no event of a name that it no longer lists.
 */
export async function subscribe(
  database: Pick<pg.Pool, 'query'>,
  consumer: string,
  names: readonly string[],
): Promise<void> {
  const parsed = names.map(parseEventName);
  await database.query(SUBSCRIBE_SQL, [
    consumer,
    parsed.map(({ name }) => name),
    parsed.map(({ entityTypeId }) => entityTypeId),
  ]);
}

interface MessageRow {
  id: string;
  shard: number;
  /** JSON text. */
  content: string;
  attempts: number;
  deliveryCount: number;
  /** Unix time in milliseconds. */
  firstFailedAt: number | undefined;
  /** In microseconds since the epoch. */
  availableAt: number;
}

/** Maximum rows per shard in one result: bounds the memory of a start with a long backlog. */
const MAX_ROWS_PER_SHARD = 1_000;
/** Maximum bytes of all rows in one result, in equal parts for the shards; one row of each is taken however large it is. */
const MAX_FETCH_BYTES = 16 * 1024 * 1024;
/** Of an event of 256 kB, whose control characters take six bytes each in JSON. */
const MAX_ROW_BYTES = 6 * 256 * 1024;

// This session holds the shard's lease, so no other process fetches these rows and no row lock or SKIP LOCKED is needed.
// No join: for a table that was empty when it was analyzed, the planner would read all of it for each row.
// One row comes without a message when there is none: the snapshot is needed in any case.
const FETCH_SQL = `
  WITH next AS MATERIALIZED (
    SELECT m.id, room.shard,
           sum(m.bytes) OVER (PARTITION BY room.shard ORDER BY m.available_at, m.id) - m.bytes
             < ${MAX_FETCH_BYTES} / cardinality($2::int[]) AS fits
    FROM unnest($2::int[], $3::int[], $4::float8[]) AS room (shard, free, cursor)
    CROSS JOIN LATERAL (
      SELECT id, available_at,
             LEAST(${MAX_ROW_BYTES}, pg_column_size(content)
               * CASE pg_column_compression(content) WHEN 'pglz' THEN 90 WHEN 'lz4' THEN 256 ELSE 1 END) AS bytes
      FROM bus.messages
      WHERE consumer = $1 AND shard = room.shard AND NOT taken AND available_at <= now()
        AND available_at >= timestamptz 'epoch' + room.cursor * interval '1 microsecond'
      ORDER BY available_at, id
      LIMIT room.free
    ) AS m
  ), took AS (
    UPDATE bus.messages SET taken = true, deliveries = deliveries + 1
    WHERE id = ANY (ARRAY(SELECT id FROM next WHERE fits))
    RETURNING *
  )
  SELECT concat_ws(' ', (extract(epoch FROM now()) * 1000000)::bigint, pg_snapshot_xmin(seen),
           coalesce((SELECT string_agg(DISTINCT shard::text, ',') FROM next WHERE NOT fits), '-'),
           CASE WHEN $5 THEN pg_current_xact_id() ELSE pg_current_xact_id_if_assigned() END)
           AS snapshot,
         id, shard, content::text AS content, attempts, deliveries - 1 AS "deliveryCount",
         (extract(epoch FROM first_failed_at) * 1000)::float8 AS "firstFailedAt",
         (extract(epoch FROM available_at) * 1000000)::float8 AS "availableAt"
  FROM pg_current_snapshot() AS seen LEFT JOIN took ON true
  ORDER BY available_at, id`;

type FetchedRow = Omit<MessageRow, 'firstFailedAt'> & { firstFailedAt: number | null; snapshot: string };

async function fetchRows(
  client: pg.Client,
  consumer: string,
  limits: ReadonlyMap<number, number>,
  cursors: FetchCursors,
): Promise<{ snapshot: FetchSnapshot; cut: ReadonlySet<number>; rows: MessageRow[] }> {
  const wanted = [...limits.keys()];
  const { rows } = await client.query<FetchedRow | { id: null; snapshot: string }>({
    name: 'bus-take',
    text: FETCH_SQL,
    values: [
      consumer,
      wanted,
      [...limits.values()],
      wanted.map((shard) => cursors.of(shard)),
      cursors.needsId,
    ],
  });
  const [at = 0, xmin = 0, cut = '-', xid] = (rows[0]?.snapshot ?? '').split(' ');
  return {
    snapshot: { at: Number(at), xmin: Number(xmin), xid: xid === undefined ? undefined : Number(xid) },
    cut: new Set(cut === '-' ? [] : cut.split(',').map(Number)),
    rows: rows.flatMap((row) =>
      row.id === null ? [] : { ...row, firstFailedAt: row.firstFailedAt ?? undefined },
    ),
  };
}
