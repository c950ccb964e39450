import { ENTERPRISE_LIMIT, type RateLimit, DEFAULT_LIMIT } from '@relay/bitrix24';
import type { DataSource } from 'typeorm';
import { notInstalled } from '../database/errors.js';
import { INSERT_BUCKET_SQL, LOCKED_BUCKET } from './database-bucket.js';
import { queryRows } from '../database/sql.js';

/** `free`: on-premise portals have no limit unless their administrator sets one. */
export type PortalLimit = RateLimit | 'free';
/** By the portal's plan, or in numbers (`limits.md`). `usual` is the default. */
export type GivenLimit = PortalLimit | 'usual' | 'enterprise';

/** Tickets issued so far keep counting at the old rate. */
const SET_LIMIT_SQL = `
  WITH ${LOCKED_BUCKET}
  UPDATE portals.rate_buckets AS row
  SET rate = $3, burst = $4, unlimited = $5, leaked = bucket.leaked, leaked_at = bucket.now, share = bucket.share
  FROM bucket WHERE row.member_id = bucket.member_id
  RETURNING row.member_id`;

/** The rate limit of each portal's plan, set by an operator: no response of Bitrix24 contains it. */
export class PortalLimits {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * Takes effect at once for new requests of all processes, within ten seconds for waiting ones, and within a minute if
   * the portal was `free` before.
   * @throws RangeError for numbers that are no limit; Bitrix24Error NOT_INSTALLED for a portal that is unknown
   */
  async setLimit(memberId: string, given: GivenLimit): Promise<void> {
    const limit = numbersOf(given);
    await this.dataSource.query(INSERT_BUCKET_SQL, [memberId]);
    const parameters = [memberId, null, limit?.rate, limit?.burst, given === 'free'];
    const changed = await queryRows(this.dataSource, SET_LIMIT_SQL, parameters);
    if (changed.length === 0) throw notInstalled(memberId);
  }

  async limitOf(memberId: string): Promise<PortalLimit> {
    const [row] = await this.dataSource.query<
      { unlimited: boolean; rate: number | null; burst: number | null }[]
    >('SELECT unlimited, rate, burst FROM portals.rate_buckets WHERE member_id = $1', [memberId]);
    if (row?.unlimited) return 'free';
    return { rate: row?.rate ?? DEFAULT_LIMIT.rate, burst: row?.burst ?? DEFAULT_LIMIT.burst };
  }
}

function numbersOf(given: GivenLimit): RateLimit | undefined {
  if (given === 'free' || given === 'usual') return undefined;
  const limit = given === 'enterprise' ? ENTERPRISE_LIMIT : given;
  const valid = [limit.rate, limit.burst].every((each) => Number.isFinite(each) && each > 0);
  if (!valid)
    throw new RangeError('A rate limit is two numbers above 0: requests a second, and a burst of requests');
  return limit;
}
