import { Injectable } from '@nestjs/common';
import type { ProcessId } from '@relay/bitrix24';
import { decodeMessage, encodeMessage, type PortalEvent } from '@relay/events';
import type { DeliveryMode } from '@relay/portals';
import { DataSource } from 'typeorm';
import { MAX_PUT_OFF_MS, ONLINE_WITHIN_MS } from './schedule.js';

/** The queue of a portal that is read now. */
export interface QueueState {
  /** `online`: the queue is left, and what waits in it is read a last time. */
  mode: DeliveryMode;
  /** Whether any handler still fills it. */
  isBound: boolean;
  /** `rest_offline_extended`, as last answered. */
  canReserve: boolean;
  /** `rest_auth_connector`, as last answered. */
  hasConnector: boolean;
  /** `auth_connector` of the handlers; empty for none. */
  connector: string;
  /** That of the queue that was read last, in which something may be left. */
  lastConnector: string;
  /** These answers are old: the plan may have changed. */
  isAccessOld: boolean;
  /** Batches may exist that are not in `batches`: an answer was lost, or nobody has looked for a day. */
  hasUnknownBatches: boolean;
  /** When the last request was sent that deletes records, if its answer is not known. */
  destructiveReadSince: Date | null;
  /** The last poll that ended well. */
  polledAt: Date | null;
  /** The last scan for what is hidden from a usual poll, lost batches and records marked as errors, is a day old. */
  isRecoveryScanDue: boolean;
  /** How far the portal's clock is ahead, in ms. */
  clockSkewMs: number;
  emptyPolls: number;
  /** It has signalled since the last poll: what it posts arrives. */
  isSignalled: boolean;
  /** Hash of the records of the last poll; null if there were none. */
  lastRead: string | null;
}

export interface StoredRecord {
  messageId: string;
  event: PortalEvent;
}

/** @property storedAt as the database has it: the row is another when the same thing has changed again */
interface StoredRow extends StoredRecord {
  storedAt: string;
}

/** SQL: its queue has handlers. */
const IS_BOUND = `EXISTS (SELECT FROM portals.offline_bindings b WHERE b.member_id = p.member_id AND b.state = 'bound')`;
/** SQL: a suspended portal that posts nothing, such as one in mode `offline`, is tried again by nobody else. */
const IS_CALLABLE = `(p.state = 'installed' OR (p.state = 'suspended' AND p.suspended_until <= clock_timestamp()))`;
/** SQL: its queue has handlers, or had them until the portal was set to `online`, and may be read. */
const IS_READABLE = `${IS_CALLABLE} AND a.is_administrator AND (p.delivery_mode = 'online' OR ${IS_BOUND})`;

/** SQL: since then a due poll is not put off any more. A poll that is not to be put off at all is due since then at once. */
const PUT_OFF_UNTIL = `clock_timestamp() - interval '${MAX_PUT_OFF_MS} ms'`;
/** SQL: what changes at the portal now most likely comes online. */
const IS_HEARD = `p.delivery_mode = 'both' AND EXISTS (SELECT FROM portals.event_arrivals e WHERE e.member_id = p.member_id
  AND e.event_at > clock_timestamp() - interval '${ONLINE_WITHIN_MS} ms')`;

/** How long a portal is leased to one poll. An expired lease is retried. */
const LEASE_DURATION = '5 minutes';

/** What must survive the process that reads a queue. */
@Injectable()
export class PollStateStore {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * Leases portals that are due and not put off, at most `limit`, those first that were not polled for the longest time; new
   * ones included. They are due again if their poll does not end.
   */
  async leaseDue(limit: number): Promise<string[]> {
    await this.dataSource.query(
      `INSERT INTO offline.visits (member_id)
       SELECT member_id FROM portals.portals p JOIN portals.offline_access a USING (member_id)
       WHERE ${IS_READABLE} AND p.delivery_mode <> 'online'
         AND NOT EXISTS (SELECT FROM offline.visits v WHERE v.member_id = p.member_id)
       ON CONFLICT DO NOTHING`,
    );
    const [rows] = await this.dataSource.query<[{ memberId: string }[], number]>(
      `UPDATE offline.visits SET next_at = clock_timestamp() + interval '${LEASE_DURATION}' WHERE member_id IN (
         SELECT v.member_id FROM offline.visits v
           JOIN portals.portals p USING (member_id) JOIN portals.offline_access a USING (member_id)
         WHERE ${IS_READABLE} AND v.next_at <= clock_timestamp() AND (v.next_at <= ${PUT_OFF_UNTIL} OR NOT (${IS_HEARD}))
         ORDER BY v.visited_at NULLS FIRST LIMIT $1 FOR UPDATE OF v SKIP LOCKED)
       RETURNING member_id AS "memberId"`,
      [limit],
    );
    return rows.map(({ memberId }) => memberId);
  }

  /** After a time in which nobody polled: all portals are due now, and none is put off. @returns how many */
  async makeAllDue(notPolledForMs: number): Promise<number> {
    const [, count] = await this.dataSource.query<[unknown[], number]>(
      `UPDATE offline.visits SET next_at = ${PUT_OFF_UNTIL}
       WHERE next_at > ${PUT_OFF_UNTIL} AND visited_at < clock_timestamp() - make_interval(secs => $1)`,
      [notPolledForMs / 1_000],
    );
    return count;
  }

  /** The portal says that its queue has records. */
  async recordSignal(memberId: string, inMs: number): Promise<void> {
    await this.dataSource.query(
      `UPDATE offline.visits SET signalled_at = clock_timestamp(), empty_visits = 0,
         next_at = least(next_at, clock_timestamp() + make_interval(secs => $2)) WHERE member_id = $1`,
      [memberId, inMs / 1_000],
    );
  }

  /** Undefined for a portal whose queue is not to be read. */
  async state(memberId: string): Promise<QueueState | undefined> {
    const [row] = await this.dataSource.query<QueueState[]>(
      `SELECT p.delivery_mode AS mode, ${IS_BOUND} AS "isBound", a.can_reserve AS "canReserve",
         a.has_connector AS "hasConnector", a.connector, v.connector AS "lastConnector",
         a.checked_at < clock_timestamp() - interval '1 day' AS "isAccessOld",
         v.is_reserving AS "hasUnknownBatches", v.taking_since AS "destructiveReadSince", v.visited_at AS "polledAt",
         v.listed_at IS NULL OR v.listed_at < clock_timestamp() - interval '1 day' AS "isRecoveryScanDue",
         v.clock_skew_ms AS "clockSkewMs", v.empty_visits AS "emptyPolls",
         coalesce(v.signalled_at > v.visited_at, false) AS "isSignalled",
         v.last_read AS "lastRead"
       FROM portals.portals p JOIN portals.offline_access a USING (member_id)
         JOIN offline.visits v USING (member_id)
       WHERE p.member_id = $1 AND ${IS_READABLE}`,
      [memberId],
    );
    return row;
  }

  /** Written before the request, so that a lost answer leaves a trace. */
  async beginReserving(memberId: string): Promise<void> {
    await this.dataSource.query('UPDATE offline.visits SET is_reserving = true WHERE member_id = $1', [
      memberId,
    ]);
  }

  /** @param processId of the batch that was reserved; undefined if there was nothing */
  async endReserving(memberId: string, connector: string, processId: ProcessId | undefined): Promise<void> {
    await this.dataSource.query(
      `WITH reserved AS (
         INSERT INTO offline.batches (member_id, connector, process_id) SELECT $1, $2, $3 WHERE $3::text IS NOT NULL
         ON CONFLICT DO NOTHING)
       UPDATE offline.visits SET is_reserving = false WHERE member_id = $1`,
      [memberId, connector, processId ?? null],
    );
  }

  /** Written before the request, as `beginReserving`. */
  async beginDestructiveRead(memberId: string): Promise<void> {
    await this.dataSource.query(
      'UPDATE offline.visits SET taking_since = clock_timestamp() WHERE member_id = $1',
      [memberId],
    );
  }

  /** What the portal has deleted is stored, or made up for. */
  async endDestructiveRead(memberId: string): Promise<void> {
    await this.dataSource.query('UPDATE offline.visits SET taking_since = NULL WHERE member_id = $1', [
      memberId,
    ]);
  }

  async saveBatches(memberId: string, connector: string, processIds: Iterable<ProcessId>): Promise<void> {
    await this.dataSource.query(
      `INSERT INTO offline.batches (member_id, connector, process_id) SELECT $1, $2, unnest($3::text[])
       ON CONFLICT DO NOTHING`,
      [memberId, connector, [...processIds]],
    );
  }

  /** All batches of the portal are known now. */
  async endReservations(memberId: string): Promise<void> {
    await this.dataSource.query('UPDATE offline.visits SET is_reserving = false WHERE member_id = $1', [
      memberId,
    ]);
  }

  /** What was left in the queue of another connector is read. */
  async saveConnector(memberId: string, connector: string): Promise<void> {
    await this.dataSource.query('UPDATE offline.visits SET connector = $2 WHERE member_id = $1', [
      memberId,
      connector,
    ]);
  }

  async endRecoveryScan(memberId: string): Promise<void> {
    await this.dataSource.query(
      'UPDATE offline.visits SET listed_at = clock_timestamp() WHERE member_id = $1',
      [memberId],
    );
  }

  /** The oldest first. */
  async batches(memberId: string, connector: string): Promise<string[]> {
    const rows = await this.dataSource.query<{ id: string }[]>(
      `SELECT process_id AS id FROM offline.batches WHERE member_id = $1 AND connector = $2 ORDER BY reserved_at`,
      [memberId, connector],
    );
    return rows.map(({ id }) => id);
  }

  async removeBatch(memberId: string, processId: string): Promise<void> {
    await this.dataSource.query('DELETE FROM offline.batches WHERE member_id = $1 AND process_id = $2', [
      memberId,
      processId,
    ]);
  }

  async saveRecords(memberId: string, records: readonly StoredRecord[]): Promise<void> {
    // One statement may not change a row twice.
    const unique = [...new Map(records.map((record) => [record.messageId, record.event])).entries()];
    await this.dataSource.query(
      `INSERT INTO offline.records (member_id, message_id, message)
       SELECT $1, * FROM unnest($2::text[], $3::bytea[])
       ON CONFLICT (member_id, message_id) DO UPDATE SET message = excluded.message, stored_at = excluded.stored_at`,
      [memberId, unique.map(([id]) => id), unique.map(([, event]) => encodeMessage(event))],
    );
  }

  /** The oldest first, at most a thousand. */
  async records(memberId: string): Promise<StoredRow[]> {
    const rows = await this.dataSource.query<{ messageId: string; message: Buffer; storedAt: string }[]>(
      `SELECT message_id AS "messageId", message, stored_at::text AS "storedAt" FROM offline.records
       WHERE member_id = $1 ORDER BY stored_at LIMIT 1000`,
      [memberId],
    );
    return rows.map(({ message, ...row }) => ({ ...row, event: decodeMessage(message) }));
  }

  /** Those only that are as they were read: a stalled reader does not delete what another has stored since. */
  async removeRecords(memberId: string, rows: readonly StoredRow[]): Promise<void> {
    await this.dataSource.query(
      `DELETE FROM offline.records stored USING unnest($2::text[], $3::text[]) AS read(message_id, stored_at)
       WHERE member_id = $1 AND stored.message_id = read.message_id AND stored.stored_at = read.stored_at::timestamptz`,
      [memberId, rows.map(({ messageId }) => messageId), rows.map(({ storedAt }) => storedAt)],
    );
  }

  async saveClockSkew(memberId: string, skewMs: number): Promise<void> {
    await this.dataSource.query('UPDATE offline.visits SET clock_skew_ms = $2 WHERE member_id = $1', [
      memberId,
      skewMs,
    ]);
  }

  /** The application is gone from the portal, and its queue with it; or the queue is left, and empty. */
  async forget(memberId: string): Promise<void> {
    for (const table of ['records', 'batches', 'visits']) {
      await this.dataSource.query(`DELETE FROM offline.${table} WHERE member_id = $1`, [memberId]);
    }
  }

  /**
   * A signal that came during the poll counts.
   * @param poll.nextInMs 'now': more records wait that are old enough, and the next poll is not put off
   */
  async endPoll(
    memberId: string,
    {
      records,
      nextInMs,
      emptyPolls,
      lastRead,
    }: { records: number; nextInMs: number | 'now'; emptyPolls: number; lastRead: string | null },
  ): Promise<void> {
    await this.dataSource.query(
      `UPDATE offline.visits SET visited_at = clock_timestamp(), empty_visits = $3, records = records + $4,
         last_read = $5, last_record_at = CASE WHEN $4 > 0 THEN clock_timestamp() ELSE last_record_at END,
         next_at = least(next_at, coalesce(clock_timestamp() + make_interval(secs => $2), ${PUT_OFF_UNTIL}))
       WHERE member_id = $1`,
      [memberId, nextInMs === 'now' ? null : nextInMs / 1_000, emptyPolls, records, lastRead],
    );
  }
}
