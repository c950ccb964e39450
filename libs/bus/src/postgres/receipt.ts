import type { Log } from '@relay/platform';
import type pg from 'pg';
import type { Failure, Receipt } from '../contract/event-bus.js';
import { deadTotal, retriedTotal } from '../contract/instrumentation.js';
import { tierFor, tierName } from '../contract/retry-delays.js';

/** Shared by all receipts of one session. */
export interface SettleContext {
  readonly consumer: string;
  readonly log: Log;
  readonly retryDelaysMs: readonly number[];
  /** False once the session has ended: its leases are gone, and the rows that it fetched belong to another process. */
  readonly open: boolean;
  /** Resolves when the settlement is written, or when the session has ended instead; never rejects. */
  settle(shard: number, settlement: Settlement): Promise<void>;
}

export interface FetchedRow {
  id: string;
  shard: number;
  attempts: number;
  deliveryCount: number;
  firstFailedAt: number | undefined;
}

export class PostgresReceipt implements Receipt {
  private settled = false;

  constructor(
    private readonly context: SettleContext,
    private readonly row: FetchedRow,
  ) {}

  get attempts(): number {
    return this.row.attempts;
  }
  get deliveryCount(): number {
    return this.row.deliveryCount;
  }
  get firstFailedAt(): number | undefined {
    return this.row.firstFailedAt;
  }
  get lost(): boolean {
    return !this.context.open;
  }

  async done(): Promise<void> {
    await this.settle({ kind: 'done', id: this.row.id });
  }

  async retry(
    afterMs: number,
    { code }: Failure,
    { countsAsAttempt = true }: { countsAsAttempt?: boolean } = {},
  ): Promise<void> {
    await this.scheduleRetry(afterMs, { failedAttempts: countsAsAttempt ? 1 : 0, failed: true, code });
  }

  async defer(afterMs: number, code?: string): Promise<void> {
    await this.scheduleRetry(afterMs, { failedAttempts: 0, failed: false, code: code ?? null });
  }

  async dead(failure: Failure): Promise<void> {
    const { consumer, log } = this.context;
    if (!(await this.settle({ kind: 'dead', id: this.row.id, failure }))) return;
    deadTotal.inc({ consumer });
    log.error(
      { event: 'bus.message.dead', consumer, messageId: this.row.id, failure },
      'a message became a dead letter',
    );
  }

  private async scheduleRetry(
    afterMs: number,
    history: { failedAttempts: number; failed: boolean; code: string | null },
  ): Promise<void> {
    const { consumer, retryDelaysMs } = this.context;
    const delayMs = tierFor(afterMs, retryDelaysMs);
    if (await this.settle({ kind: 'retry', id: this.row.id, afterMs: delayMs, ...history })) {
      retriedTotal.inc({ consumer, tier: tierName(delayMs) });
    }
  }

  private async settle(settlement: Settlement): Promise<boolean> {
    if (this.settled || this.lost) return false;
    this.settled = true;
    await this.context.settle(this.row.shard, settlement);
    return !this.lost;
  }
}

export type Settlement =
  | { kind: 'done'; id: string }
  /** `failed`: counts as a failure, else the message is only delayed; `code`: why, null keeps the last one. */
  | {
      kind: 'retry';
      id: string;
      afterMs: number;
      failedAttempts: number;
      failed: boolean;
      code: string | null;
    }
  | { kind: 'dead'; id: string; failure: Failure };

const DONE_SQL = 'DELETE FROM bus.messages WHERE id = ANY ($1::bigint[])';

// By id first: of a table that it takes for empty, the planner would read all rows and join them.
const RETRY_SQL = `
  UPDATE bus.messages AS m
  SET taken = false, deliveries = 0, attempts = m.attempts + s.failed_attempts,
      last_code = coalesce(s.code, m.last_code),
      first_failed_at = CASE WHEN s.failed THEN coalesce(m.first_failed_at, now()) ELSE m.first_failed_at END,
      available_at = clock_timestamp() + s.after_ms * interval '1 millisecond'
  FROM unnest($1::bigint[], $2::float8[], $3::int[], $4::text[], $5::boolean[]) AS s (id, after_ms, failed_attempts, code, failed)
  WHERE m.id = ANY ($1::bigint[]) AND m.id = s.id`;

const DEAD_SQL = `
  WITH gone AS (
    DELETE FROM bus.messages AS m
    USING unnest($1::bigint[], $2::text[], $3::text[]) AS s (id, code, message)
    WHERE m.id = ANY ($1::bigint[]) AND m.id = s.id
    RETURNING m.*, s.code, s.message
  )
  INSERT INTO bus.dead_letters (consumer, shard, code, message, attempts, first_failed_at, last_failed_at, content)
  SELECT consumer, shard, code, message, attempts + 1, coalesce(first_failed_at, now()), now(), content
  FROM gone ORDER BY id`;

/** Collects settlements while the connection is busy and writes them in bulk: one statement per kind. */
export class Settlements {
  private pending: Settlement[] = [];
  private next: Promise<void> | undefined;

  /** @param serialize runs the work when the connection is idle */
  constructor(
    private readonly client: pg.Client,
    private readonly serialize: (work: () => Promise<void>) => Promise<void>,
  ) {}

  /** Resolves when it is written. Rejects when the connection ended first: then the message is redelivered. */
  add(settlement: Settlement): Promise<void> {
    this.pending.push(settlement);
    this.next ??= this.writeSoon();
    return this.next;
  }

  private async writeSoon(): Promise<void> {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    await this.serialize(async () => {
      const settlements = this.pending;
      this.pending = [];
      this.next = undefined;
      await this.write(settlements);
    });
  }

  private async write(settlements: readonly Settlement[]): Promise<void> {
    const done = settlements.filter((settlement) => settlement.kind === 'done');
    const retry = settlements.filter((settlement) => settlement.kind === 'retry');
    const dead = settlements.filter((settlement) => settlement.kind === 'dead');
    if (done.length > 0) {
      await this.client.query({ name: 'bus-done', text: DONE_SQL, values: [idsOf(done)] });
    }
    if (retry.length > 0) {
      const values = [
        idsOf(retry),
        retry.map(({ afterMs }) => afterMs),
        retry.map(({ failedAttempts }) => failedAttempts),
        retry.map(({ code }) => code && withoutNulBytes(code)),
        retry.map(({ failed }) => failed),
      ];
      await this.client.query({ name: 'bus-retry', text: RETRY_SQL, values });
    }
    if (dead.length > 0) {
      const values = [
        idsOf(dead),
        dead.map(({ failure }) => withoutNulBytes(failure.code)),
        dead.map(({ failure }) => withoutNulBytes(failure.message)),
      ];
      await this.client.query({ name: 'bus-dead', text: DEAD_SQL, values });
    }
  }
}

const idsOf = (settlements: readonly Settlement[]): string[] => settlements.map(({ id }) => id);

/** PostgreSQL's text type accepts every character but this one. */
const withoutNulBytes = (text: string): string => text.replaceAll('\0', '');
