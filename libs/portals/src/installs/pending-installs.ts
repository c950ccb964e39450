import type { Log } from '@relay/platform';
import type { DataSource } from 'typeorm';
import { z } from 'zod';
import { PortalError } from '../errors.js';
import { hashOfProof, hashOfSource } from './exchange-budget.js';
import type { SecretBox } from '../encryption/secret-box.js';
import { countChanged, queryRows } from '../store/sql.js';

const pendingClaim = z.object({
  memberId: z.string(),
  domain: z.string(),
  applicationToken: z.string().optional(),
  accessToken: z.string(),
  refreshToken: z.string(),
  language: z.string().optional(),
  oauthHost: z.string().optional(),
});
/** An install as it arrived: nothing in it is proved before its refresh token is exchanged. */
export type PendingClaim = z.infer<typeof pendingClaim>;

/**
 * `done`: settled, either way. `later`: no verdict yet. `replacedBy`: there was one, and it used up the proof, but what
 * had to follow failed; this claim brings the pair that the old proof was exchanged for.
 */
export type ClaimOutcome = 'done' | 'later' | { replacedBy: PendingClaim };

/** Claims of one portal, as an operator sees them. */
export interface WaitingInstall {
  memberId: string;
  claims: number;
  tries: number;
  keptAt: Date;
  nextTryAt: Date;
}

const FIRST_PAUSE_S = 5;
const MAX_PAUSE_S = 3_600;
/** Longer than one try takes: a gateway that dies over a claim leaves it to the others after this time. */
const LEASE_S = 120;
/** An access token lives an hour, a person waits less: after two days somebody has to install again anyway. */
const GIVEN_UP_AFTER = '2 days';
/** Anybody can post claims; they must not fill the disk. */
const LIMITS = { total: 10_000, perMember: 20 };
/** A full table loses so many at once, for looking whose they are costs some. */
const EVICTED_AT_ONCE = 100;

interface Row {
  memberId: string;
  proofHash: Buffer;
  sealedClaim: string;
  tries: number;
}

/** Installs that the OAuth server could not confirm because it did not answer: kept sealed, tried again. */
export class PendingInstalls {
  private newestFirst = false;

  constructor(
    private readonly dataSource: DataSource,
    private readonly box: SecretBox,
    private readonly log: Log,
  ) {}

  /**
   * Keeps a claim for later; one with the same refresh token is kept once. A portal that has no claim waiting always finds
   * a place: where all are taken, those of the source that has the most give way.
   * @param source whose claims are counted together, such as a client's address
   * @param isDue whether it may be tried at once: it has only not been its turn
   * @throws PortalError PENDING_FULL
   */
  async keep(
    claim: PendingClaim,
    { source, isDue = false }: { source?: string; isDue?: boolean } = {},
  ): Promise<void> {
    const { memberId } = claim;
    const { proofHash: hash, sealedClaim } = this.sealed(claim);
    const insert = (): Promise<unknown[]> =>
      queryRows(
        this.dataSource,
        `INSERT INTO portals.pending_installs AS p (member_id, proof_hash, sealed_claim, next_try_at, source)
         SELECT $1, $2, $3, now() + make_interval(secs => $4), $7
         WHERE (SELECT count(*) FROM portals.pending_installs) < $5
           AND (SELECT count(*) FROM portals.pending_installs WHERE member_id = $1) < $6
         ON CONFLICT (member_id, proof_hash) DO UPDATE SET tries = p.tries RETURNING member_id`,
        [
          memberId,
          hash,
          sealedClaim,
          isDue ? 0 : FIRST_PAUSE_S,
          LIMITS.total,
          LIMITS.perMember,
          source === undefined ? null : hashOfSource(source),
        ],
      );
    if ((await insert()).length > 0) return;
    await this.makeRoom(memberId);
    if ((await insert()).length > 0) return;
    throw new PortalError('PENDING_FULL', 'Too many installs wait for the OAuth server', { memberId });
  }

  /** What waits, for an operator: how many claims, and the portals that have waited for longest. */
  async waiting(limit: number): Promise<{ total: number; portals: WaitingInstall[] }> {
    const portals = await queryRows<WaitingInstall>(
      this.dataSource,
      `SELECT member_id AS "memberId", count(*)::int AS claims, max(tries) AS tries, min(kept_at) AS "keptAt",
         min(next_try_at) AS "nextTryAt"
       FROM portals.pending_installs GROUP BY member_id ORDER BY min(kept_at), member_id LIMIT $1`,
      [limit],
    );
    const [row] = await queryRows<{ total: number }>(
      this.dataSource,
      'SELECT count(*)::int AS total FROM portals.pending_installs',
    );
    return { total: row?.total ?? 0, portals };
  }

  /** Only for a portal of which nothing waits: another one has had its chance. */
  private async makeRoom(memberId: string): Promise<void> {
    const evicted = await countChanged(
      this.dataSource,
      `DELETE FROM portals.pending_installs WHERE (member_id, proof_hash) IN (
         SELECT member_id, proof_hash FROM portals.pending_installs
         WHERE (SELECT count(*) FROM portals.pending_installs) >= $2
           AND NOT EXISTS (SELECT FROM portals.pending_installs WHERE member_id = $1)
         ORDER BY count(*) OVER (PARTITION BY coalesce(source, proof_hash)) DESC, tries DESC, kept_at LIMIT $3)`,
      [memberId, LIMITS.total, EVICTED_AT_ONCE],
    );
    if (evicted === 0) return;
    this.log.warn({ evicted }, 'too many installs wait: some of whoever has the most were given up');
  }

  /**
   * Hands the claims that are due to `work`, one after the other, at most `limit`; several processes never get the
   * same. Those come first whose source has had the fewest exchanges of late; among equals the oldest and the newest by
   * turns, so that neither a queue that is long nor one that grows keeps a claim waiting behind all of it. A claim that is `done` is deleted, since its proof can be used once. After `later`, or an error, which is
   * logged, it comes back, or the one that replaces it, after a pause that doubles up to an hour; after two days it is
   * given up.
   * @param admit asked before each: false ends it
   * @returns how many claims were tried
   */
  async takeDue(
    limit: number,
    work: (claim: PendingClaim) => Promise<ClaimOutcome>,
    admit: () => Promise<boolean> = () => Promise.resolve(true),
  ): Promise<number> {
    await this.giveUp();
    for (let tried = 0; tried < limit; tried += 1) {
      if (!(await this.hasDue()) || !(await admit())) return tried;
      const row = await this.lease();
      if (!row) return tried;
      const outcome = await this.try(row, work);
      if (outcome === 'done') await this.delete(row);
      else await this.postpone(row, outcome === 'later' ? row : this.sealed(outcome.replacedBy));
    }
    return limit;
  }

  /** Whether a claim is to be tried now. */
  async hasDue(): Promise<boolean> {
    const [row] = await queryRows<{ due: boolean }>(
      this.dataSource,
      'SELECT EXISTS (SELECT FROM portals.pending_installs WHERE next_try_at <= now()) AS due',
    );
    return row?.due ?? false;
  }

  private sealed(claim: PendingClaim): Pick<Row, 'proofHash' | 'sealedClaim'> {
    const text = JSON.stringify(pendingClaim.parse(claim));
    return {
      proofHash: hashOfProof(claim.refreshToken),
      sealedClaim: this.box.seal(text, { memberId: claim.memberId, field: 'pending_install' }),
    };
  }

  private async try(row: Row, work: (claim: PendingClaim) => Promise<ClaimOutcome>): Promise<ClaimOutcome> {
    const { memberId } = row;
    try {
      const text = this.box.open(row.sealedClaim, { memberId, field: 'pending_install' });
      return await work(pendingClaim.parse(JSON.parse(text)));
    } catch (err) {
      this.log.error({ err, memberId }, 'a pending install could not be tried; it comes back later');
      return 'later';
    }
  }

  /** No lock outlives the statement: a try takes seconds, and its work needs transactions of its own. */
  private async lease(): Promise<Row | undefined> {
    this.newestFirst = !this.newestFirst;
    const order = this.newestFirst ? 'DESC' : 'ASC';
    const [row] = await queryRows<Row>(
      this.dataSource,
      `WITH counted AS (
         SELECT source, count(*) AS exchanges FROM portals.claim_exchanges
         WHERE begun_at > clock_timestamp() - interval '1 minute' GROUP BY source
       ),
       first_of_each AS (
         SELECT DISTINCT ON (coalesce(source, proof_hash)) member_id, proof_hash, source, kept_at
         FROM portals.pending_installs WHERE next_try_at <= now()
         ORDER BY coalesce(source, proof_hash), kept_at ${order}
       ),
       ranked AS MATERIALIZED (
         SELECT member_id, proof_hash, row_number() OVER (ORDER BY coalesce(exchanges, 0), kept_at ${order}) AS place
         FROM first_of_each LEFT JOIN counted USING (source)
       ),
       due AS MATERIALIZED (
         SELECT p.member_id, p.proof_hash FROM portals.pending_installs p JOIN ranked USING (member_id, proof_hash)
         WHERE next_try_at <= now() ORDER BY place LIMIT 1 FOR UPDATE OF p SKIP LOCKED
       ),
       leased AS (
         UPDATE portals.pending_installs p SET tries = tries + 1, next_try_at = now() + make_interval(secs => $1)
         FROM due WHERE p.member_id = due.member_id AND p.proof_hash = due.proof_hash
         RETURNING p.member_id, p.proof_hash, p.sealed_claim, p.tries, p.source
       ),
       noted AS (
         INSERT INTO portals.claim_exchanges (proof_hash, source)
         SELECT proof_hash, coalesce(source, proof_hash) FROM leased
         ON CONFLICT (proof_hash) DO UPDATE SET begun_at = excluded.begun_at
       )
       SELECT member_id AS "memberId", proof_hash AS "proofHash", sealed_claim AS "sealedClaim", tries FROM leased`,
      [LEASE_S],
    );
    return row;
  }

  private async delete({ memberId, proofHash }: Row): Promise<void> {
    await this.dataSource.query(
      'DELETE FROM portals.pending_installs WHERE member_id = $1 AND proof_hash = $2',
      [memberId, proofHash],
    );
  }

  /** Only while the lease is still ours: whoever took the claim after it ran out decides. */
  private async postpone(
    { memberId, proofHash, tries }: Row,
    next: Pick<Row, 'proofHash' | 'sealedClaim'>,
  ): Promise<void> {
    const pauseS = Math.min(FIRST_PAUSE_S * 2 ** Math.min(tries, 20), MAX_PAUSE_S);
    await this.dataSource.query(
      `UPDATE portals.pending_installs
       SET next_try_at = now() + make_interval(secs => $4), proof_hash = $5, sealed_claim = $6
       WHERE member_id = $1 AND proof_hash = $2 AND tries = $3`,
      [memberId, proofHash, tries, pauseS, next.proofHash, next.sealedClaim],
    );
  }

  private async giveUp(): Promise<void> {
    const rows = await queryRows<{ memberId: string; tries: number }>(
      this.dataSource,
      `DELETE FROM portals.pending_installs WHERE kept_at < now() - interval '${GIVEN_UP_AFTER}'
       RETURNING member_id AS "memberId", tries`,
    );
    for (const { memberId, tries } of rows) {
      this.log.warn({ memberId, tries }, 'an install was never confirmed and is given up: install again');
    }
  }
}
