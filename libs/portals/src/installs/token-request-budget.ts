import { createHash } from 'node:crypto';
import { isIPv6 } from 'node:net';
import type { DataSource } from 'typeorm';
import { countChanged, queryRows } from '../database/sql.js';

/** Short-term token bucket: burst size and refill per second; 600 claims take 40 seconds. */
const BURST = { size: 30, perSecond: 15 };
/** Long-term token bucket: endless claims cost one OAuth request per second after the first 1,500. */
const STOCK = { size: 1_500, perSecond: 1 };
/** Tokens that a newly arrived claim leaves to pending ones. */
const LEFT = { usually: 10, byHeavy: 20 };
/** A source with more OAuth requests than this in the last minute is heavy and gets only what the others leave. */
const MAX_LIGHT_PER_MINUTE = 60;
/** Tokens of the long-term bucket that a heavy source leaves to the others. */
const STOCK_LEFT_BY_HEAVY = STOCK.size / 2;
/** How long a refresh token that the OAuth server has rejected is not sent again. */
const REMEMBERED_FOR = '1 hour';

/**
 * `admitted`: send the token request now; it is counted. `rejected-before`: the OAuth server has rejected it already.
 * `too-many`: the budget is exhausted now. `too-many-of-source`: the source has exhausted its part.
 */
export type Admission = 'admitted' | 'rejected-before' | 'too-many' | 'too-many-of-source';

interface OfferedProof {
  refreshToken: string;
  /** Key by which requests are counted together, such as a client's address. */
  source: string;
}

const ELAPSED = 'greatest(0, extract(epoch FROM clock_timestamp() - filled_at))';
const BURST_NOW = `least(${BURST.size}, burst + ${BURST.perSecond} * ${ELAPSED})`;
const STOCK_NOW = `least(${STOCK.size}, stock + ${STOCK.perSecond} * ${ELAPSED})`;
const TAKE_ONE = `UPDATE portals.exchange_budget
  SET burst = ${BURST_NOW} - 1, stock = ${STOCK_NOW} - 1, filled_at = clock_timestamp()`;

/**
 * Rate limit of OAuth requests that install claims cause. Anybody may post a claim, and the OAuth server blocks an
 * application that sends too many requests (`settings/oauth/auto-renewal.md`). All processes share one token bucket.
 * Refreshes of stored pairs are not counted, because outsiders cannot cause them.
 */
export class TokenRequestBudget {
  constructor(private readonly dataSource: DataSource) {}

  /** For an arriving claim; one that is not admitted can become a pending install. */
  async admit(proof: OfferedProof): Promise<Admission> {
    const [row] = await queryRows<{ refused: boolean; heavy: boolean; taken: boolean }>(
      this.dataSource,
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
    if (row?.refused) return 'rejected-before';
    return row?.heavy ? 'too-many-of-source' : 'too-many';
  }

  /** For the next pending claim. @returns whether the budget admits it */
  async admitWaiting(): Promise<boolean> {
    const taken = await countChanged(
      this.dataSource,
      `${TAKE_ONE} WHERE ${BURST_NOW} >= 1 AND ${STOCK_NOW} >= 1`,
    );
    return taken > 0;
  }

  /** Remembers a refresh token that the OAuth server has rejected, or that belonged to another portal. */
  async noteRejected(refreshToken: string): Promise<void> {
    await this.dataSource.query(
      'UPDATE portals.claim_exchanges SET refused = true, begun_at = clock_timestamp() WHERE proof_hash = $1',
      [hashOfProof(refreshToken)],
    );
  }

  /** Deletes expired rows. The bucket bounds their number. */
  async prune(): Promise<void> {
    await this.dataSource.query(
      `DELETE FROM portals.claim_exchanges WHERE begun_at < clock_timestamp() - interval '${REMEMBERED_FOR}'`,
    );
  }
}

export function hashOfProof(refreshToken: string): Buffer {
  return createHash('sha256').update(refreshToken).digest();
}

/** Hashed for privacy: a client's address is only compared. */
export function hashOfSource(source: string): Buffer {
  return createHash('sha256').update(source).digest();
}

/**
 * The source by which token requests are counted. For a page it is the address of the browser; for IPv6, the network
 * of a subscriber.
 */
export function sourceOfPage(address: string): string {
  return `page ${networkOf(address)}`;
}

/** Events and callbacks come from few addresses of Bitrix24, so their source is the portal that they name. */
export function sourceOfPortal(memberId: string): string {
  return `portal ${memberId}`;
}

function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const ipv4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (ipv4 !== undefined) return ipv4;
  const [head = '', tail = ''] = address.toLowerCase().split('::');
  const [first, last] = [head, tail].map((part) => part.split(':').filter((group) => group !== ''));
  const missing = address.includes('::') ? 8 - (first?.length ?? 0) - (last?.length ?? 0) : 0;
  const groups = [...(first ?? []), ...Array.from({ length: missing }, () => '0'), ...(last ?? [])];
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
