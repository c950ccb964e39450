import { createHash } from 'node:crypto';
import type { DataSource } from 'typeorm';

/** Exchanges that may follow each other at once, and how many come back in a second: 600 claims take 40 seconds. */
const BURST = { size: 30, perSecond: 15 };
/** The same over hours: whoever claims without end costs one exchange a second, 1,500 first. */
const STOCK = { size: 1_500, perSecond: 1 };
/** What a claim that arrives leaves to those that wait. */
const LEFT = { usually: 10, byHeavy: 20 };
/** A source with more exchanges than this in the last minute is heavy: it gets what the others leave. */
const MAX_LIGHT_PER_MINUTE = 60;
/** Of the stock, what a heavy source leaves to the others. */
const STOCK_LEFT_BY_HEAVY = STOCK.size / 2;
/** How long the OAuth server is not asked again about a proof that it has refused. */
const REMEMBERED_FOR = '1 hour';

/**
 * `admitted`: exchange it now, that is counted. `refused-before`: the OAuth server has refused it, and would again.
 * `too-many`: there is no room now. `too-many-of-source`: nor will there be, for what comes from there.
 */
export type Admission = 'admitted' | 'refused-before' | 'too-many' | 'too-many-of-source';

export interface OfferedProof {
  refreshToken: string;
  /** Whose exchanges are counted together, such as those of a client's address. */
  source: string;
}

const ELAPSED = 'greatest(0, extract(epoch FROM clock_timestamp() - filled_at))';
const BURST_NOW = `least(${BURST.size}, burst + ${BURST.perSecond} * ${ELAPSED})`;
const STOCK_NOW = `least(${STOCK.size}, stock + ${STOCK.perSecond} * ${ELAPSED})`;
const TAKE_ONE = `UPDATE portals.exchange_budget
  SET burst = ${BURST_NOW} - 1, stock = ${STOCK_NOW} - 1, filled_at = clock_timestamp()`;

/**
 * Anybody may post a claim, and each makes us ask the OAuth server, which blocks an application that asks too much
 * (`settings/oauth/auto-renewal.md`). So all exchanges that claims cause, in all processes, come out of one token bucket.
 * Renewals of stored pairs do not: those are our own.
 */
export class ExchangeBudget {
  constructor(private readonly dataSource: DataSource) {}

  /** For a claim that arrives; one that is not admitted can wait among the pending installs. */
  async admit(proof: OfferedProof): Promise<Admission> {
    const [row] = await this.dataSource.query<{ refused: boolean; heavy: boolean; taken: boolean }[]>(
      `WITH refused AS MATERIALIZED (
         SELECT FROM portals.claim_exchanges
         WHERE proof_hash = $1 AND refused AND begun_at > clock_timestamp() - interval '${REMEMBERED_FOR}'
       ),
       counted AS MATERIALIZED (
         SELECT count(*) >= ${MAX_LIGHT_PER_MINUTE} AS heavy FROM portals.claim_exchanges
         WHERE source = $2 AND begun_at > clock_timestamp() - interval '1 minute'
       ),
       taken AS (
         ${TAKE_ONE}
         WHERE NOT EXISTS (SELECT FROM refused)
           AND ${BURST_NOW} >= 1 + CASE WHEN (SELECT heavy FROM counted) THEN ${LEFT.byHeavy} ELSE ${LEFT.usually} END
           AND ${STOCK_NOW} >= 1 + CASE WHEN (SELECT heavy FROM counted) THEN ${STOCK_LEFT_BY_HEAVY} ELSE 0 END
         RETURNING 1
       ),
       noted AS (
         INSERT INTO portals.claim_exchanges AS e (proof_hash, source) SELECT $1, $2 FROM taken
         ON CONFLICT (proof_hash) DO UPDATE SET source = excluded.source, begun_at = excluded.begun_at
       )
       SELECT EXISTS (SELECT FROM refused) AS refused, (SELECT heavy FROM counted) AS heavy, EXISTS (SELECT FROM taken) AS taken`,
      [hashOfProof(proof.refreshToken), hashOfSource(proof.source)],
    );
    if (row?.taken) return 'admitted';
    if (row?.refused) return 'refused-before';
    return row?.heavy ? 'too-many-of-source' : 'too-many';
  }

  /** For the next of the claims that wait, whichever it is. @returns whether there is room */
  async admitWaiting(): Promise<boolean> {
    const [, taken] = await this.dataSource.query<[unknown[], number]>(
      `${TAKE_ONE} WHERE ${BURST_NOW} >= 1 AND ${STOCK_NOW} >= 1`,
    );
    return taken > 0;
  }

  /** The OAuth server has refused it, or it was another portal's: it is worth nothing any more. */
  async noteRefused(refreshToken: string): Promise<void> {
    await this.dataSource.query(
      'UPDATE portals.claim_exchanges SET refused = true, begun_at = clock_timestamp() WHERE proof_hash = $1',
      [hashOfProof(refreshToken)],
    );
  }

  /** Forgets what is too old to count. The bucket bounds how much there can be. */
  async prune(): Promise<void> {
    await this.dataSource.query(
      `DELETE FROM portals.claim_exchanges WHERE begun_at < clock_timestamp() - interval '${REMEMBERED_FOR}'`,
    );
  }
}

export function hashOfProof(refreshToken: string): Buffer {
  return createHash('sha256').update(refreshToken).digest();
}

/** A client's address is nobody's business but for being the same. */
export function hashOfSource(source: string): Buffer {
  return createHash('sha256').update(source).digest();
}
