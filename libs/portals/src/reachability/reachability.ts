import { createHash } from 'node:crypto';
import type { DataSource } from 'typeorm';
import type { UnreachableReason } from '../database/entities.js';
import { inTransaction, queryRows } from '../database/sql.js';
import { EventGaps, IS_UNREACHABLE } from './event-gaps.js';
import { countHours, HOUR_MS, MAX_SILENCE_MS, silentAt, SLOT_MS, type UsualRate } from './usual-rate.js';

/** One lost test event is no proof; the second one follows after this time. */
const RETEST_MS = 60_000;
const MAX_FAILED_TESTS = 2;
/** Until a requested test is requested again, if nothing came of it. */
const REQUEST_TIMEOUT_MS = 10 * 60_000;
/** Between tests of a portal that is unreachable, doubling. */
const MIN_RECOVERY_TEST_MS = 5 * 60_000;
const MAX_RECOVERY_TEST_MS = HOUR_MS;
/** A portal that could not be asked for a test says nothing: others report why. */
const UNTESTABLE_MS = HOUR_MS;
/** A while of fresh records that did not come online is no coincidence, and no restart of a gateway. */
const MISSING_MS = 10 * 60_000;
const MISSING_VISITS = 3;
/** Between checks of a portal; a check costs no request. */
const CHECK_INTERVAL_MS = 10 * 60_000;
/** Portals of one statement. */
const PAGE_SIZE = 500;

/** SQL: portals that post events to us; one without ONAPPTEST bound has another problem, which its bindings show. */
const WATCHED = `p.state = 'installed' AND p.delivery_mode <> 'offline'
  AND EXISTS (SELECT FROM portals.credentials c WHERE c.member_id = p.member_id AND c.kind = 'oauth')
  AND EXISTS (SELECT FROM portals.event_bindings b
    WHERE b.member_id = p.member_id AND b.name = 'ONAPPTEST' AND b.state = 'bound')`;

/** What became of `event.test`: its event came, did not come, or the portal could not be asked. */
export type TestOutcome = 'arrived' | 'missed' | 'untestable';

/** A portal that is unreachable now, or is not any more. */
export interface ReachabilityChange {
  memberId: string;
  reason: UnreachableReason;
  isUnreachable: boolean;
}

export interface ReachabilityReport {
  unreachableSince: Date | null;
  /** What tells it; null while it is reachable. */
  reason: UnreachableReason | null;
  /** Of the last online event, and of the last record that was read in its offline queue. */
  lastEventAt: Date | null;
  lastRecordAt: Date | null;
  /** Records since the last online event that only the offline queue had. */
  onlyOffline: number;
  testedAt: Date | null;
}

interface CheckedRow {
  memberId: string;
  watchedSince: Date;
  installedAt: Date;
  testedAt: Date | null;
  missedAt: Date | null;
  failedTests: number;
  isDue: boolean;
  isUnreachable: boolean;
  unreachableSince: Date | null;
  reason: UnreachableReason | null;
  rates: number[];
  ratesFrom: number | null;
  ratesUntil: number | null;
  heardAt: Date | null;
  eventAt: Date | null;
  busySlots: number[];
  isMissing: boolean;
}

/** What a check of a portal leads to; `change` if its state is another. */
interface Decision {
  nextCheckAtMs: number;
  failedTests: number;
  isTestDue?: boolean;
  change?: ReachabilityChange;
}

/** SQL: its offline queue keeps having what should have come online. */
const IS_MISSING = `coalesce(p.delivery_mode = 'both' AND a.missing_visits >= ${MISSING_VISITS}
  AND a.missing_since <= to_timestamp($1::float8 / 1000) - make_interval(secs => ${MISSING_MS / 1_000}), false)`;

/**
 * Whether what portals post reaches us. A portal that was not heard of for unusually long is to be tested; two tests that do
 * not arrive, or an offline queue that keeps having what should have come online, make it `unreachable`, until
 * something arrives again. Its gap begins in the transaction that stores this, which nothing finds a second time.
 */
export class Reachability {
  constructor(
    private readonly dataSource: DataSource,
    private readonly now: () => number = Date.now,
  ) {}

  /** Checks the portals that are due. For the leader. @returns portals to test, and changes of state */
  async check(): Promise<{ toTest: string[]; changes: ReachabilityChange[] }> {
    await this.watchNew();
    const [toTest, changes] = [new Array<string>(), new Array<ReachabilityChange>()];
    for (;;) {
      const decided = await this.checkPage();
      for (const { memberId, isTestDue, change } of decided) {
        if (isTestDue) toTest.push(memberId);
        if (change) changes.push(change);
      }
      if (decided.length < PAGE_SIZE) return { toTest, changes };
    }
  }

  /**
   * What only the offline queue has had proves nothing from a time in which nobody noted what came online.
   * @param notedSince undefined: nobody does
   */
  async forgetMissing(notedSince: Date | undefined): Promise<void> {
    await this.dataSource.query(
      `UPDATE portals.event_arrivals SET missing_since = NULL, missing_visits = 0
       WHERE missing_since <= coalesce($1::timestamptz, to_timestamp($2::float8 / 1000))`,
      [notedSince, this.now()],
    );
  }

  private async watchNew(): Promise<void> {
    await this.dataSource.query(
      `INSERT INTO portals.reachability (member_id, watched_since, next_check_at)
       SELECT member_id, to_timestamp($1::float8 / 1000), to_timestamp($1::float8 / 1000) FROM portals.portals p
       WHERE ${WATCHED} AND NOT EXISTS (SELECT FROM portals.reachability r WHERE r.member_id = p.member_id)
       ON CONFLICT DO NOTHING`,
      [this.now()],
    );
  }

  private async checkPage(): Promise<(Decision & { memberId: string })[]> {
    const nowMs = this.now();
    return await inTransaction(this.dataSource, async (manager) => {
      const rows = await queryRows<CheckedRow>(
        manager,
        `SELECT r.member_id AS "memberId", r.watched_since AS "watchedSince", p.installed_at AS "installedAt",
           r.tested_at AS "testedAt", r.missed_at AS "missedAt", r.failed_tests AS "failedTests", r.rates,
           r.rates_from AS "ratesFrom", r.rates_until AS "ratesUntil", r.unreachable_since AS "unreachableSince", r.reason,
           r.next_check_at <= to_timestamp($1::float8 / 1000) AS "isDue", coalesce(${IS_UNREACHABLE}, false) AS "isUnreachable",
           a.heard_at AS "heardAt", a.event_at AS "eventAt", coalesce(a.busy_slots, '{}') AS "busySlots",
           ${IS_MISSING} AS "isMissing"
         FROM portals.reachability r JOIN portals.portals p USING (member_id)
           LEFT JOIN portals.event_arrivals a USING (member_id)
         WHERE ${WATCHED} AND (r.next_check_at <= to_timestamp($1::float8 / 1000)
           OR (${IS_MISSING} AND NOT coalesce(${IS_UNREACHABLE}, false))
           OR (${IS_UNREACHABLE} AND (CASE r.reason WHEN 'test' THEN a.heard_at ELSE a.event_at END) > r.unreachable_since))
         ORDER BY r.next_check_at LIMIT $2
         FOR UPDATE OF r SKIP LOCKED`,
        [nowMs, PAGE_SIZE],
      );
      const decided = rows.map((row) => {
        const before = { rates: row.rates, from: row.ratesFrom, until: row.ratesUntil };
        const usual = countHours(before, row.busySlots, row.watchedSince.getTime(), nowMs);
        return {
          usual,
          isCounted: usual.until !== row.ratesUntil,
          memberId: row.memberId,
          ...decide(row, usual, nowMs),
        };
      });
      await manager.query(
        `UPDATE portals.reachability r SET next_check_at = to_timestamp(d."nextCheckAtMs" / 1000), failed_tests = d."failedTests",
           rates = coalesce(d.rates, r.rates), rates_from = coalesce(d."from", r.rates_from),
           rates_until = coalesce(d."until", r.rates_until),
           unreachable_since = CASE WHEN d.change IS NULL THEN r.unreachable_since
             WHEN (d.change->>'isUnreachable')::boolean THEN to_timestamp($2::float8 / 1000) END,
           reason = CASE WHEN d.change IS NULL THEN r.reason
             WHEN (d.change->>'isUnreachable')::boolean THEN d.change->>'reason' END
         FROM jsonb_to_recordset($1::jsonb) AS d("memberId" text, "nextCheckAtMs" float8, "failedTests" int, rates float8[],
           "from" int, "until" int, change jsonb)
         WHERE r.member_id = d."memberId"`,
        [
          JSON.stringify(
            decided.map(({ usual, isCounted, ...decision }) => ({ ...decision, ...(isCounted && usual) })),
          ),
          nowMs,
        ],
      );
      const counted = decided.filter(({ isCounted }) => isCounted);
      await manager.query(
        `UPDATE portals.event_arrivals a
         SET busy_slots = ARRAY(SELECT slot FROM unnest(a.busy_slots) slot WHERE slot >= d.first ORDER BY slot)
         FROM unnest($1::text[], $2::int[]) AS d(member_id, first)
         WHERE a.member_id = d.member_id AND a.busy_slots[1] < d.first`,
        [
          counted.map(({ memberId }) => memberId),
          counted.map(({ usual }) => (usual.until ?? 0) * (HOUR_MS / SLOT_MS)),
        ],
      );
      for (const { memberId, change } of decided) {
        if (change?.isUnreachable) await new EventGaps(manager).begin(memberId, 'UNREACHABLE');
      }
      return decided;
    });
  }

  /** Undefined when the portal is as before, or not watched any more. */
  async saveTest(memberId: string, outcome: TestOutcome): Promise<ReachabilityChange | undefined> {
    const nowMs = this.now();
    return await inTransaction(this.dataSource, async (manager) => {
      const [row] = await queryRows<{
        failedTests: number;
        isUnreachable: boolean;
        reason: UnreachableReason | null;
      }>(
        manager,
        `SELECT failed_tests AS "failedTests", reason, coalesce(${IS_UNREACHABLE}, false) AS "isUnreachable"
         FROM portals.reachability r JOIN portals.portals p USING (member_id)
         WHERE member_id = $1 AND ${WATCHED} FOR UPDATE OF r`,
        [memberId],
      );
      if (!row) return undefined;
      const failedTests = failuresAfter(outcome, row.failedTests);
      const isSilent = outcome === 'missed' && failedTests >= MAX_FAILED_TESTS;
      const isHealed = outcome === 'arrived' && row.isUnreachable && row.reason === 'test';
      const isFound = isSilent && !row.isUnreachable;
      await manager.query(
        `UPDATE portals.reachability SET failed_tests = $2, next_check_at = to_timestamp($3::float8 / 1000),
           tested_at = CASE WHEN $5 = 'arrived' THEN to_timestamp($4::float8 / 1000) ELSE tested_at END,
           missed_at = CASE WHEN $5 = 'missed' THEN to_timestamp($4::float8 / 1000) ELSE missed_at END,
           unreachable_since = CASE WHEN $6 THEN to_timestamp($4::float8 / 1000) WHEN $7 THEN NULL ELSE unreachable_since END,
           reason = CASE WHEN $6 THEN 'test' WHEN $7 THEN NULL ELSE reason END
         WHERE member_id = $1`,
        [memberId, failedTests, nowMs + pauseAfter(outcome, failedTests), nowMs, outcome, isFound, isHealed],
      );
      if (isFound) await new EventGaps(manager).begin(memberId, 'UNREACHABLE');
      return isFound || isHealed ? { memberId, reason: 'test', isUnreachable: isFound } : undefined;
    });
  }

  /** By member id. */
  async reports(): Promise<Map<string, ReachabilityReport>> {
    const rows = await queryRows<ReachabilityReport & { memberId: string }>(
      this.dataSource,
      `SELECT p.member_id AS "memberId", a.event_at AS "lastEventAt", a.record_at AS "lastRecordAt",
         CASE WHEN p.delivery_mode = 'both' THEN coalesce(a.only_offline, 0) ELSE 0 END AS "onlyOffline",
         r.tested_at AS "testedAt",
         CASE WHEN ${IS_UNREACHABLE} THEN r.unreachable_since END AS "unreachableSince",
         CASE WHEN ${IS_UNREACHABLE} THEN r.reason END AS reason
       FROM portals.portals p LEFT JOIN portals.event_arrivals a USING (member_id)
         LEFT JOIN portals.reachability r USING (member_id)
       WHERE a.member_id IS NOT NULL OR r.member_id IS NOT NULL`,
    );
    return new Map(rows.map(({ memberId, ...report }) => [memberId, report]));
  }
}

function decide(row: CheckedRow, usual: UsualRate, nowMs: number): Decision {
  const { memberId, reason, unreachableSince, heardAt, eventAt, missedAt } = row;
  const nextRegularAtMs = nowMs + CHECK_INTERVAL_MS;
  if (row.isUnreachable && reason !== null) {
    const sign = reason === 'test' ? heardAt : eventAt;
    if (sign && unreachableSince && sign > unreachableSince) {
      return {
        nextCheckAtMs: nextRegularAtMs,
        failedTests: 0,
        change: { memberId, reason, isUnreachable: false },
      };
    }
    const { failedTests } = row;
    // That ONAPPTEST arrives would not show that the others do.
    if (reason === 'offline-only') return { nextCheckAtMs: nextRegularAtMs, failedTests };
    return { nextCheckAtMs: nowMs + REQUEST_TIMEOUT_MS, failedTests, isTestDue: true };
  }
  const failedTests = heardAt && missedAt && heardAt > missedAt ? 0 : row.failedTests;
  if (row.isMissing) {
    const change = { memberId, reason: 'offline-only', isUnreachable: true } as const;
    return { nextCheckAtMs: nextRegularAtMs, failedTests, change };
  }
  const silentAtMs = silentAt(usual, lastSignOf(row), maxSilenceMs(memberId));
  if (silentAtMs <= nowMs || failedTests > 0) {
    return { nextCheckAtMs: nowMs + REQUEST_TIMEOUT_MS, failedTests, isTestDue: true };
  }
  // What comes meanwhile may begin hours in which silence is unusual sooner.
  return { nextCheckAtMs: Math.min(silentAtMs, nextRegularAtMs), failedTests };
}

/** The last proof that the portal reaches us, or the beginning of the time in which there should be one. */
function lastSignOf({ heardAt, testedAt, watchedSince, installedAt }: CheckedRow): number {
  return Math.max(...[heardAt, testedAt, watchedSince, installedAt].map((at) => at?.getTime() ?? 0));
}

/** Portals that fall silent together, as in a holiday or when our address is blocked, are not all tested at once. */
function maxSilenceMs(memberId: string): number {
  const share = createHash('sha256').update(memberId).digest().readUInt16BE() / 0xff_ff;
  return MAX_SILENCE_MS * (0.8 + 0.2 * share);
}

function pauseAfter(outcome: TestOutcome, failedTests: number): number {
  switch (outcome) {
    case 'untestable':
      return UNTESTABLE_MS;
    case 'arrived':
      return CHECK_INTERVAL_MS;
    case 'missed': {
      if (failedTests < MAX_FAILED_TESTS) return RETEST_MS;
      const doublings = Math.min(failedTests - MAX_FAILED_TESTS, 10);
      return Math.min(MIN_RECOVERY_TEST_MS * 2 ** doublings, MAX_RECOVERY_TEST_MS);
    }
    default:
      return outcome satisfies never;
  }
}

function failuresAfter(outcome: TestOutcome, failures: number): number {
  switch (outcome) {
    case 'arrived':
      return 0;
    case 'missed':
      return Math.min(failures + 1, 100);
    case 'untestable':
      return failures;
    default:
      return outcome satisfies never;
  }
}
