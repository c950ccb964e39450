import { Bitrix24Error } from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import type { DataSource, EntityManager } from 'typeorm';
import {
  EventBindingEntity,
  OfflineAccessEntity,
  OfflineBindingEntity,
  type BindingWork,
} from '../database/entities.js';
import { queryRows } from '../database/sql.js';

const FIRST_WAIT_MS = 30_000;
const MAX_WAIT_MS = 3_600_000;
/** A claim lasts for the first delay and is extended while its process works. */
const HEARTBEAT_MS = 10_000;

/** The exclusive claim of one process to bind the events of a portal; also the fence for what it stores. */
export interface BindingClaim {
  memberId: string;
  /** The application's permissions, as stored before the first request. */
  scope: string[];
  /** Bindings are stored only while the claim in the row has this id. */
  id: string;
}

/** The portal was installed meanwhile, or another process took over: results under this claim are stale. */
export class ClaimLostError extends Error {
  override readonly name = 'ClaimLostError';

  constructor(memberId: string) {
    super(`${memberId} was installed again, or another process binds its events now`);
  }
}

/**
 * Binding attempts in flight, and the time of the next attempt after a failure. The row is written before the first
 * request: a portal whose response kills the process is not called right after each restart, and only one of several
 * processes binds. An install deletes the row, whatever failed before it.
 */
export class EventBindingAttempts {
  constructor(
    private readonly dataSource: DataSource,
    private readonly log: Log,
  ) {}

  /**
   * Runs `bind` under a claim of this portal.
   * @param handler the address to bind; a failure with another one causes no delay
   * @returns false if the attempt is not due, or another process has the claim
   * @throws what `bind` throws, which delays the next attempt: 30 s, doubled each time, an hour at most
   */
  async attempt(
    memberId: string,
    work: BindingWork,
    handler: string,
    bind: (claim: BindingClaim) => Promise<void>,
  ): Promise<boolean> {
    const claim = await this.claim(memberId, work, handler);
    if (!claim) return false;
    const heartbeat = setInterval(() => void this.extend(claim), HEARTBEAT_MS);
    heartbeat.unref();
    try {
      await bind(claim);
      await this.release(claim);
    } catch (error) {
      // An install that committed before the claim was inserted could not delete it: the next attempt is due now.
      await (error instanceof ClaimLostError ? this.release(claim) : this.failed(claim, error));
      throw error;
    } finally {
      clearInterval(heartbeat);
    }
    return true;
  }

  /** @returns how long an attempt's claim lasts unless its process extends it, in milliseconds; undefined if there is none */
  async claimedForMs(memberId: string, work: BindingWork): Promise<number | undefined> {
    const rows = await queryRows<{ leftMs: number }>(
      this.dataSource,
      `SELECT (extract(epoch FROM next_attempt_at - clock_timestamp()) * 1000)::float8 AS "leftMs"
       FROM portals.binding_attempts WHERE member_id = $1 AND work = $2 AND claim IS NOT NULL`,
      [memberId, work],
    );
    return rows[0] && Math.max(0, rows[0].leftMs);
  }

  /** The next attempts of this portal are due now, unless one is in flight: an operator asks for them. */
  async wake(memberId: string): Promise<void> {
    await wakeEventBindingAttempts(this.dataSource.manager, memberId);
  }

  private async claim(
    memberId: string,
    work: BindingWork,
    handler: string,
  ): Promise<BindingClaim | undefined> {
    // A claim that is still there belongs to a process that died.
    const rows = await queryRows<BindingClaim>(
      this.dataSource,
      `INSERT INTO portals.binding_attempts AS a (member_id, work, handler, scope, attempts, next_attempt_at, claim)
       SELECT member_id, $2, $3, scope, 1, ${nextAttempt('1')}, gen_random_uuid() FROM portals.portals WHERE member_id = $1
       ON CONFLICT (member_id, work) DO UPDATE SET
         handler = excluded.handler, scope = excluded.scope, claim = excluded.claim,
         attempts = CASE a.handler WHEN excluded.handler THEN a.attempts + 1 ELSE 1 END,
         next_attempt_at = CASE a.handler WHEN excluded.handler THEN ${nextAttempt('a.attempts + 1')}
           ELSE excluded.next_attempt_at END,
         error = CASE WHEN a.claim IS NULL THEN a.error ELSE 'INTERRUPTED' END
       WHERE ${isDue('a', 'excluded.handler')}
       RETURNING member_id AS "memberId", scope, claim AS id`,
      [memberId, work, handler],
    );
    return rows[0];
  }

  private async release({ memberId, id }: BindingClaim): Promise<void> {
    await this.dataSource.query('DELETE FROM portals.binding_attempts WHERE member_id = $1 AND claim = $2', [
      memberId,
      id,
    ]);
  }

  private async extend({ memberId, id }: BindingClaim): Promise<void> {
    try {
      await this.dataSource.query(
        `UPDATE portals.binding_attempts SET next_attempt_at = greatest(next_attempt_at, ${nextAttempt('1')})
         WHERE member_id = $1 AND claim = $2`,
        [memberId, id],
      );
    } catch (err) {
      this.log.warn(
        { event: 'bindings.claim.unextended', memberId, err },
        'the claim of a binding attempt could not be extended',
      );
    }
  }

  /** If the database is unavailable, the row keeps the time that the claim has set. */
  private async failed({ memberId, id }: BindingClaim, error: unknown): Promise<void> {
    try {
      await this.dataSource.query(
        `UPDATE portals.binding_attempts SET claim = NULL, error = $3, next_attempt_at = ${nextAttempt('attempts')}
         WHERE member_id = $1 AND claim = $2`,
        [memberId, id, error instanceof Bitrix24Error ? error.code : 'FAILED'],
      );
    } catch (err) {
      this.log.warn(
        { event: 'bindings.failure.unstored', memberId, err },
        'a failed binding attempt could not be stored',
      );
    }
  }
}

/** SQL: the time of the next attempt after so many failures. */
function nextAttempt(attempts: string): string {
  const waitMs = `least(${MAX_WAIT_MS}, ${FIRST_WAIT_MS} * 2.0 ^ least(${attempts} - 1, 20))`;
  return `clock_timestamp() + make_interval(secs => (${waitMs})::float8 / 1000)`;
}

/** SQL: whether an attempt is due, by the row of `binding_attempts`, which may be missing. */
export function isDue(row: string, handler: string): string {
  return `(${row}.member_id IS NULL OR ${row}.next_attempt_at <= clock_timestamp() OR ${row}.handler <> ${handler})`;
}

/** The application was installed, updated or removed: stored bindings and the attempt in flight are stale. */
export async function forgetBindings(manager: EntityManager, memberId: string): Promise<void> {
  // First: a process that stores a binding under a claim waits for this lock.
  await forgetEventBindingAttempts(manager, memberId);
  await manager.delete(EventBindingEntity, { memberId });
  await manager.delete(OfflineBindingEntity, { memberId });
}

/** Forgets these bindings of a portal, except those that were recorded again since they were read. */
export async function forgetUnchanged(
  dataSource: DataSource,
  table: 'event_bindings' | 'offline_bindings',
  memberId: string,
  recorded: readonly { name: string; boundAt: Date }[],
): Promise<void> {
  if (recorded.length === 0) return;
  // A Date has milliseconds, the column microseconds.
  await dataSource.query(
    `DELETE FROM portals.${table} b USING unnest($2::text[], $3::timestamptz[]) AS lost(name, bound_at)
     WHERE b.member_id = $1 AND b.name = lost.name AND date_trunc('milliseconds', b.bound_at) = lost.bound_at`,
    [memberId, recorded.map(({ name }) => name), recorded.map(({ boundAt }) => boundAt)],
  );
}

/** Earlier failures no longer apply. */
export async function forgetEventBindingAttempts(manager: EntityManager, memberId: string): Promise<void> {
  await manager.query('DELETE FROM portals.binding_attempts WHERE member_id = $1', [memberId]);
  // Another pair may be an administrator's.
  await manager.delete(OfflineAccessEntity, { memberId });
}

/** The portal works again: the next attempt is due now, unless one is in flight. */
export async function wakeEventBindingAttempts(manager: EntityManager, memberId: string): Promise<void> {
  await manager.query(
    `UPDATE portals.binding_attempts SET next_attempt_at = least(next_attempt_at, clock_timestamp())
     WHERE member_id = $1 AND claim IS NULL`,
    [memberId],
  );
}
