import { setTimeout as pause } from 'node:timers/promises';
import type { DataSource } from 'typeorm';

/** What Bitrix24 allows one address at one portal: leaks `rate` requests a second, refuses above `burst`. */
export interface RateLimit {
  /** Requests a second. */
  rate: number;
  /** Requests. */
  burst: number;
}

/** All plans but Enterprise, which has 5 and 250 (documentation `limits.md`). */
export const usualLimit: RateLimit = { rate: 2, burst: 50 };

/**
 * One bucket for each portal, shared by all processes: Bitrix24 counts every request that comes from our address,
 * whichever process sent it. A request takes its place in the row (GCRA, with the database's clock) and is told how
 * long to wait for its turn; no lock is held while it waits.
 */
export class RateBucket {
  readonly #incrementS: number;
  readonly #allowanceS: number;

  constructor(
    private readonly dataSource: DataSource,
    { rate, burst }: RateLimit = usualLimit,
  ) {
    this.#incrementS = 1 / rate;
    // Bitrix24 counts at arrival and leaks in steps of a second: two steps of the burst are left alone.
    this.#allowanceS = (burst - 2 * rate) / rate;
  }

  /** Resolves when a request may be sent. @throws the signal's reason; the place is then used up all the same */
  async take(memberId: string, signal?: AbortSignal): Promise<void> {
    const [row] = await this.dataSource.query<{ waitS: number }[]>(
      `INSERT INTO portals.rate_buckets AS bucket (member_id, full_until)
       VALUES ($1, clock_timestamp() + make_interval(secs => $2))
       ON CONFLICT (member_id) DO UPDATE
         SET full_until = greatest(bucket.full_until, clock_timestamp()) + make_interval(secs => $2)
       RETURNING extract(epoch FROM full_until - clock_timestamp())::float - $3 AS "waitS"`,
      [memberId, this.#incrementS, this.#allowanceS],
    );
    const waitMs = Math.ceil((row?.waitS ?? 0) * 1_000);
    if (waitMs > 0) await pause(waitMs, undefined, { signal });
  }
}
