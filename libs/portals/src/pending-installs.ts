import { createHash } from 'node:crypto';
import type { Log } from '@relay/platform';
import type { DataSource } from 'typeorm';
import { z } from 'zod';
import { PortalError } from './errors.js';
import type { SecretBox } from './keys/secret-box.js';

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

const firstPauseS = 5;
const longestPauseS = 3_600;
/** Longer than one try takes: a gateway that dies over a claim leaves it to the others after this time. */
const leaseS = 120;
/** An access token lives an hour, a person waits less: after two days somebody has to install again anyway. */
const givenUpAfter = '2 days';
/** Anybody can post claims while the OAuth server is away; they must not fill the disk. */
const limits = { total: 10_000, perMember: 20 };

interface Row {
  memberId: string;
  proofHash: Buffer;
  sealedClaim: string;
  tries: number;
}

/** Installs that the OAuth server could not confirm because it did not answer: kept sealed, tried again. */
export class PendingInstalls {
  constructor(
    private readonly dataSource: DataSource,
    private readonly box: SecretBox,
    private readonly log: Log,
  ) {}

  /**
   * Keeps a claim for later; one with the same refresh token is kept once.
   * @throws PortalError PENDING_FULL
   */
  async keep(claim: PendingClaim): Promise<void> {
    const { memberId } = claim;
    const { proofHash, sealedClaim } = this.#sealed(claim);
    const kept = await this.dataSource.query<unknown[]>(
      `INSERT INTO portals.pending_installs AS p (member_id, proof_hash, sealed_claim, next_try_at)
       SELECT $1, $2, $3, now() + make_interval(secs => $4)
       WHERE (SELECT count(*) FROM portals.pending_installs) < $5
         AND (SELECT count(*) FROM portals.pending_installs WHERE member_id = $1) < $6
       ON CONFLICT (member_id, proof_hash) DO UPDATE SET tries = p.tries RETURNING member_id`,
      [memberId, proofHash, sealedClaim, firstPauseS, limits.total, limits.perMember],
    );
    if (kept.length > 0) return;
    throw new PortalError('PENDING_FULL', 'Too many installs wait for the OAuth server', { memberId });
  }

  /**
   * Hands the claims that are due to `work`, one after the other, at most `limit`; several processes never get the
   * same. A claim that is `done` is deleted, since its proof can be used once. After `later`, or an error, which is
   * logged, it comes back, or the one that replaces it, after a pause that doubles up to an hour; after two days it is
   * given up.
   * @returns how many claims were tried
   */
  async takeDue(limit: number, work: (claim: PendingClaim) => Promise<ClaimOutcome>): Promise<number> {
    await this.#giveUp();
    for (let tried = 0; tried < limit; tried += 1) {
      const row = await this.#lease();
      if (!row) return tried;
      const outcome = await this.#try(row, work);
      if (outcome === 'done') await this.#delete(row);
      else await this.#postpone(row, outcome === 'later' ? row : this.#sealed(outcome.replacedBy));
    }
    return limit;
  }

  #sealed(claim: PendingClaim): Pick<Row, 'proofHash' | 'sealedClaim'> {
    const text = JSON.stringify(pendingClaim.parse(claim));
    return {
      proofHash: createHash('sha256').update(claim.refreshToken).digest(),
      sealedClaim: this.box.seal(text, { memberId: claim.memberId, field: 'pending_install' }),
    };
  }

  async #try(row: Row, work: (claim: PendingClaim) => Promise<ClaimOutcome>): Promise<ClaimOutcome> {
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
  async #lease(): Promise<Row | undefined> {
    const [[row]] = await this.dataSource.query<[Row[], number]>(
      `WITH due AS MATERIALIZED (
         SELECT member_id, proof_hash FROM portals.pending_installs
         WHERE next_try_at <= now() ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED
       )
       UPDATE portals.pending_installs p SET tries = tries + 1, next_try_at = now() + make_interval(secs => $1)
       FROM due WHERE p.member_id = due.member_id AND p.proof_hash = due.proof_hash
       RETURNING p.member_id AS "memberId", p.proof_hash AS "proofHash", sealed_claim AS "sealedClaim", tries`,
      [leaseS],
    );
    return row;
  }

  async #delete({ memberId, proofHash }: Row): Promise<void> {
    await this.dataSource.query(
      'DELETE FROM portals.pending_installs WHERE member_id = $1 AND proof_hash = $2',
      [memberId, proofHash],
    );
  }

  /** Only while the lease is still ours: whoever took the claim after it ran out decides. */
  async #postpone(
    { memberId, proofHash, tries }: Row,
    next: Pick<Row, 'proofHash' | 'sealedClaim'>,
  ): Promise<void> {
    const pauseS = Math.min(firstPauseS * 2 ** Math.min(tries, 20), longestPauseS);
    await this.dataSource.query(
      `UPDATE portals.pending_installs
       SET next_try_at = now() + make_interval(secs => $4), proof_hash = $5, sealed_claim = $6
       WHERE member_id = $1 AND proof_hash = $2 AND tries = $3`,
      [memberId, proofHash, tries, pauseS, next.proofHash, next.sealedClaim],
    );
  }

  async #giveUp(): Promise<void> {
    const [rows] = await this.dataSource.query<[{ memberId: string; tries: number }[], number]>(
      `DELETE FROM portals.pending_installs WHERE kept_at < now() - interval '${givenUpAfter}'
       RETURNING member_id AS "memberId", tries`,
    );
    for (const { memberId, tries } of rows) {
      this.log.warn({ memberId, tries }, 'an install was never confirmed and is given up: install again');
    }
  }
}
