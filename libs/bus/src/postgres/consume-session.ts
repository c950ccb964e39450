import { decodeMessage, isOfNewerVersion, type PortalEvent } from '@relay/events';
import type { Log } from '@relay/platform';
import pg from 'pg';
import { waitAtMost } from '../backoff.js';
import { UnackedDelivery } from '../unacked-delivery.js';
import type { ConsumeOptions } from '../event-bus.js';
import { toFailure } from '../failure.js';
import { NEWER_CODE, type NewerMessages } from '../newer-messages.js';
import type { Session } from '../reconnector.js';
import { wakeChannel } from './publisher.js';
import { PostgresReceipt, type SettleContext } from './receipt.js';
import { Settlements, type Settlement } from './settlements.js';
import { ShardLeases } from './shard-leases.js';
import { takeRows, type MessageRow } from './take-rows.js';

export interface SessionOptions {
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
 * Takes messages, settles them and holds the shard leases on one connection: whatever ends the connection ends all
 * three at once, so a process that has lost its leases cannot settle, and another one takes over as soon as PostgreSQL
 * notices the end.
 */
export class ConsumeSession implements Session, SettleContext {
  open = true;
  readonly consumer: string;
  readonly log: Log;
  readonly retryDelaysMs: readonly number[];
  private readonly settlements: Settlements;
  private readonly leases: ShardLeases;
  /** Free capacity by owned shard. */
  private readonly room = new Map<number, number>();
  private poll: NodeJS.Timeout | undefined;
  private isTaking = false;
  private takeAgain = false;

  private constructor(
    private readonly client: pg.Client,
    private readonly options: SessionOptions,
    private readonly onEnd: (cause: Error) => void,
  ) {
    this.consumer = options.consumer;
    this.log = options.log;
    this.retryDelaysMs = options.retryDelaysMs;
    this.settlements = new Settlements(client);
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
    this.wake();
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
    await this.client.query(`LISTEN ${pg.escapeIdentifier(wakeChannel(this.consumer))}`);
    await this.keepShards();
    this.poll = setInterval(() => void this.keepAndWake(), this.options.pollMs);
    this.wake();
  }

  private async keepAndWake(): Promise<void> {
    try {
      await this.keepShards();
    } catch (cause) {
      this.end(new Error('The shards could not be kept', { cause }));
    }
    this.wake();
  }

  private async keepShards(): Promise<void> {
    for (const shard of await this.leases.keep()) this.room.set(shard, this.options.prefetch);
  }

  /** One query at a time; a call during a query triggers another one after it. */
  private wake(): void {
    if (!this.open) return;
    if (this.isTaking) {
      this.takeAgain = true;
      return;
    }
    this.isTaking = true;
    void this.take().finally(() => {
      this.isTaking = false;
      if (this.takeAgain) this.wake();
    });
  }

  private async take(): Promise<void> {
    this.takeAgain = false;
    try {
      const { rows, mayBeMore } = await takeRows(this.client, this.consumer, this.room);
      this.takeAgain ||= mayBeMore;
      for (const row of rows) if (this.open) this.deliver(row);
    } catch (cause) {
      this.end(new Error('Messages could not be taken', { cause }));
    }
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
    this.options.receive(new UnackedDelivery(event, receipt));
  }

  private end(cause: Error): void {
    this.open = false;
    this.onEnd(cause);
  }
}
