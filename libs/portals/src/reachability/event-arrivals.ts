import type { DataSource } from 'typeorm';
import { OFFLINE_SIGNAL } from '../subscriptions/wanted-names.js';
import { SLOT_MS } from './usual-rate.js';

/** Portals of one statement. */
const PAGE_SIZE = 1_000;
/** Of a week, should no control plane count them. */
const MAX_SLOTS = 7 * 24 * 6;
/** Clocks of portals and gateways differ by less, and an online event that takes longer is no fault. */
const TOLERANCE_MS = 10_000;
/** Records that are older when they are read were made while nobody read, or while the gateway was away. */
const FRESH_MS = 10 * 60_000;

interface Arrival {
  heardAtMs: number;
  /** Of an event for consumers. */
  eventAtMs: number | null;
}

/** Notes when portals are heard of. An event costs an entry in memory; the database is written in groups. */
export class EventArrivals {
  private noted = new Map<string, Arrival>();

  constructor(
    private readonly dataSource: DataSource,
    private readonly now: () => number = Date.now,
  ) {}

  /** An authenticated event has come online. */
  note(memberId: string, name: string): void {
    const atMs = this.now();
    const known = this.noted.get(memberId);
    const eventAtMs = isForConsumers(name) ? atMs : (known?.eventAtMs ?? null);
    if (known) Object.assign(known, { heardAtMs: atMs, eventAtMs });
    else this.noted.set(memberId, { heardAtMs: atMs, eventAtMs });
  }

  /** Stores what was noted. What cannot be stored is kept for the next time. @throws what the database throws */
  async flush(): Promise<void> {
    // In one order in all gateways: they lock rows of the same portals.
    const arrivals = [...this.noted].toSorted(([one], [other]) => (one < other ? -1 : 1));
    this.noted = new Map();
    for (let from = 0; from < arrivals.length; from += PAGE_SIZE) {
      try {
        await this.store(arrivals.slice(from, from + PAGE_SIZE));
      } catch (error) {
        for (const [memberId, arrival] of arrivals.slice(from)) this.keep(memberId, arrival);
        throw error;
      }
    }
  }

  private keep(memberId: string, arrival: Arrival): void {
    const newer = this.noted.get(memberId);
    if (!newer) this.noted.set(memberId, arrival);
    else newer.eventAtMs ??= arrival.eventAtMs;
  }

  private async store(arrivals: readonly (readonly [string, Arrival])[]): Promise<void> {
    await this.dataSource.query(
      `INSERT INTO portals.event_arrivals AS a (member_id, heard_at, event_at, busy_slots)
       SELECT member_id, to_timestamp(heard / 1000), to_timestamp(event / 1000),
         CASE WHEN event IS NULL THEN '{}' ELSE ARRAY[floor(event / $4)::int] END
       FROM unnest($1::text[], $2::float8[], $3::float8[]) AS noted(member_id, heard, event)
         JOIN portals.portals USING (member_id)
       ORDER BY member_id
       ON CONFLICT (member_id) DO UPDATE SET
         heard_at = greatest(a.heard_at, excluded.heard_at),
         event_at = greatest(a.event_at, excluded.event_at),
         busy_slots = CASE
           WHEN cardinality(excluded.busy_slots) = 0
             OR excluded.busy_slots[1] <= a.busy_slots[cardinality(a.busy_slots)] THEN a.busy_slots
           ELSE (a.busy_slots || excluded.busy_slots)[greatest(1, cardinality(a.busy_slots) + 2 - $5::int):]
         END,
         only_offline = CASE WHEN excluded.event_at IS NULL THEN a.only_offline ELSE 0 END,
         missing_since = CASE WHEN excluded.event_at IS NULL THEN a.missing_since END,
         missing_visits = CASE WHEN excluded.event_at IS NULL THEN a.missing_visits ELSE 0 END`,
      [
        arrivals.map(([memberId]) => memberId),
        arrivals.map(([, { heardAtMs }]) => heardAtMs),
        arrivals.map(([, { eventAtMs }]) => eventAtMs),
        SLOT_MS,
        MAX_SLOTS,
      ],
    );
  }

  /**
   * A poll of the portal's offline queue has read records. Those that are newer than the last online event have come only
   * there, if the portal posts its events online as well.
   * @param timesMs when their things changed, by our clock
   */
  async noteRecords(memberId: string, timesMs: readonly number[]): Promise<void> {
    if (timesMs.length === 0) return;
    const nowMs = this.now();
    await this.dataSource.query(
      `WITH read AS (
         SELECT count(*) FILTER (WHERE is_new)::int AS only_offline,
           coalesce(bool_or(is_new AND at > $3::float8 - $5::float8), false) AS is_missing
         FROM (
           SELECT at, at > coalesce(extract(epoch FROM event_at) * 1000 + $4::float8, 0) AS is_new
           FROM unnest($2::float8[]) AS at
             LEFT JOIN portals.event_arrivals ON member_id = $1) records)
       INSERT INTO portals.event_arrivals AS a (member_id, record_at, only_offline, missing_since, missing_visits)
       SELECT member_id, to_timestamp($3::float8 / 1000), only_offline,
         CASE WHEN is_missing THEN to_timestamp($3::float8 / 1000) END, is_missing::int
       FROM read, portals.portals WHERE member_id = $1
       ON CONFLICT (member_id) DO UPDATE SET record_at = excluded.record_at,
         only_offline = least(a.only_offline::bigint + excluded.only_offline, 1000000000)::int,
         missing_since = coalesce(a.missing_since, excluded.missing_since),
         missing_visits = least(a.missing_visits, 1000) + excluded.missing_visits`,
      [memberId, timesMs, nowMs, TOLERANCE_MS, FRESH_MS],
    );
  }
}

/** Tests and signals show that the portal reaches us, not that its events do. */
function isForConsumers(name: string): boolean {
  return name !== OFFLINE_SIGNAL && !name.startsWith('ONAPP');
}
