import type pg from 'pg';
import type { Failure } from '../event-bus.js';

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

const RETRY_SQL = `
  UPDATE bus.messages AS m
  SET taken = false, deliveries = 0, attempts = m.attempts + s.failed_attempts,
      last_code = coalesce(s.code, m.last_code),
      first_failed_at = CASE WHEN s.failed THEN coalesce(m.first_failed_at, now()) ELSE m.first_failed_at END,
      available_at = clock_timestamp() + s.after_ms * interval '1 millisecond'
  FROM unnest($1::bigint[], $2::float8[], $3::int[], $4::text[], $5::boolean[]) AS s (id, after_ms, failed_attempts, code, failed)
  WHERE m.id = s.id`;

const DEAD_SQL = `
  WITH gone AS (
    DELETE FROM bus.messages AS m
    USING unnest($1::bigint[], $2::text[], $3::text[]) AS s (id, code, message)
    WHERE m.id = s.id
    RETURNING m.*, s.code, s.message
  )
  INSERT INTO bus.dead_letters (consumer, shard, code, message, attempts, first_failed_at, last_failed_at, content)
  SELECT consumer, shard, code, message, attempts + 1, coalesce(first_failed_at, now()), now(), content
  FROM gone ORDER BY id`;

/** Collects settlements while the connection is busy and writes them in bulk: one statement per kind. */
export class Settlements {
  private pending: Settlement[] = [];
  private next: Promise<void> | undefined;
  private last: Promise<void> = Promise.resolve();

  constructor(private readonly client: pg.Client) {}

  /** Resolves when it is written. Rejects when the connection ended first: then the message is redelivered. */
  add(settlement: Settlement): Promise<void> {
    this.pending.push(settlement);
    this.next ??= this.writeAfter(this.last);
    return this.next;
  }

  private async writeAfter(previous: Promise<void>): Promise<void> {
    await previous.catch(() => undefined);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    const settlements = this.pending;
    this.pending = [];
    this.last = this.next ?? Promise.resolve();
    this.next = undefined;
    await this.write(settlements);
  }

  private async write(settlements: readonly Settlement[]): Promise<void> {
    const done = settlements.filter((settlement) => settlement.kind === 'done');
    const retry = settlements.filter((settlement) => settlement.kind === 'retry');
    const dead = settlements.filter((settlement) => settlement.kind === 'dead');
    if (done.length > 0) await this.client.query(DONE_SQL, [idsOf(done)]);
    if (retry.length > 0) {
      await this.client.query(RETRY_SQL, [
        idsOf(retry),
        retry.map(({ afterMs }) => afterMs),
        retry.map(({ failedAttempts }) => failedAttempts),
        retry.map(({ code }) => code && storable(code)),
        retry.map(({ failed }) => failed),
      ]);
    }
    if (dead.length > 0) {
      await this.client.query(DEAD_SQL, [
        idsOf(dead),
        dead.map(({ failure }) => storable(failure.code)),
        dead.map(({ failure }) => storable(failure.message)),
      ]);
    }
  }
}

const idsOf = (settlements: readonly Settlement[]): string[] => settlements.map(({ id }) => id);

/** PostgreSQL's text type accepts every character but this one. */
const storable = (text: string): string => text.replaceAll('\0', '');
