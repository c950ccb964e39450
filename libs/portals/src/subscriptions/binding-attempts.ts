import { Bitrix24Error } from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import type { DataSource, EntityManager } from 'typeorm';
import { EventBindingEntity, type BindingWork } from '../entities.js';
import { queryRows } from '../store/sql.js';

const FIRST_WAIT_MS = 30_000;
const MAX_WAIT_MS = 3_600_000;
/** A claim lasts for the first wait; a process that still asks says so in time. */
const HEARTBEAT_MS = 10_000;

/** What the process that asks a portal needs to know of its claim. */
export interface BindingClaim {
  memberId: string;
  /** The application's permissions, as they were known before the portal was asked. */
  scope: string[];
  /** What is stored of the portal's handlers is stored under this id, as long as it is the newest. */
  id: string;
}

/** An install came meanwhile, or another process took over: what this claim brings is no longer true. */
export class ClaimLostError extends Error {
  override readonly name = 'ClaimLostError';

  constructor(memberId: string) {
    super(`${memberId} was installed again, or is asked by another process by now`);
  }
}

/**
 * Which portals are asked for handlers now, and when those may be asked again that were in vain. The mark is made before
 * a portal is asked: one whose answer ends the process is not met right after each of its restarts, and of several
 * processes one asks. An install takes the marks away, whatever failed before it.
 */
export class BindingAttempts {
  constructor(
    private readonly dataSource: DataSource,
    private readonly log: Log,
  ) {}

  /**
   * Runs `ask` under a claim of this portal.
   * @param handler the address that the portal is asked for; a failure with another one keeps nobody waiting
   * @returns false when it is not due, or another process is at it
   * @throws what `ask` throws, which puts the next attempt off: 30 s, then twice as long each time, an hour at most
   */
  async attempt(
    memberId: string,
    work: BindingWork,
    handler: string,
    ask: (claim: BindingClaim) => Promise<void>,
  ): Promise<boolean> {
    const claim = await this.claim(memberId, work, handler);
    if (!claim) return false;
    const heartbeat = setInterval(() => void this.extend(claim), HEARTBEAT_MS);
    heartbeat.unref();
    try {
      await ask(claim);
      await this.release(claim);
    } catch (error) {
      // An install that came just before the claim did not see it, and ended what was under way: the next attempt is due now.
      await (error instanceof ClaimLostError ? this.release(claim) : this.failed(claim, error));
      throw error;
    } finally {
      clearInterval(heartbeat);
    }
    return true;
  }

  private async claim(
    memberId: string,
    work: BindingWork,
    handler: string,
  ): Promise<BindingClaim | undefined> {
    // That of before is still there: whoever had it ended without a word.
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
      this.log.warn({ memberId, err }, 'the claim of a portal could not be extended');
    }
  }

  /** Without the database the mark of before the attempt stands. */
  private async failed({ memberId, id }: BindingClaim, error: unknown): Promise<void> {
    try {
      await this.dataSource.query(
        `UPDATE portals.binding_attempts SET claim = NULL, error = $3, next_attempt_at = ${nextAttempt('attempts')}
         WHERE member_id = $1 AND claim = $2`,
        [memberId, id, error instanceof Bitrix24Error ? error.code : 'FAILED'],
      );
    } catch (err) {
      this.log.warn({ memberId, err }, 'a failed attempt to bind events could not be noted');
    }
  }
}

/** SQL: when a portal may be asked after so many attempts. */
function nextAttempt(attempts: string): string {
  const waitMs = `least(${MAX_WAIT_MS}, ${FIRST_WAIT_MS} * 2.0 ^ least(${attempts} - 1, 20))`;
  return `clock_timestamp() + make_interval(secs => (${waitMs})::float8 / 1000)`;
}

/** SQL: whether a portal may be asked now, by its row of `binding_attempts`, which may be missing. */
export function isDue(row: string, handler: string): string {
  return `(${row}.member_id IS NULL OR ${row}.next_attempt_at <= clock_timestamp() OR ${row}.handler <> ${handler})`;
}

/** The application was installed, updated or removed: its handlers are not what they were, nor is what is asked just now. */
export async function forgetBindings(manager: EntityManager, memberId: string): Promise<void> {
  // First, and so waited for by who stores what a claim brought.
  await forgetBindingAttempts(manager, memberId);
  await manager.delete(EventBindingEntity, { memberId });
}

/** What failed before says nothing any more. */
export async function forgetBindingAttempts(manager: EntityManager, memberId: string): Promise<void> {
  await manager.query('DELETE FROM portals.binding_attempts WHERE member_id = $1', [memberId]);
}

/** The portal takes calls again: it is asked soon, unless it is asked just now. */
export async function wakeBindingAttempts(manager: EntityManager, memberId: string): Promise<void> {
  await manager.query(
    `UPDATE portals.binding_attempts SET next_attempt_at = least(next_attempt_at, clock_timestamp())
     WHERE member_id = $1 AND claim IS NULL`,
    [memberId],
  );
}
