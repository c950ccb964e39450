import type { Log } from '@relay/platform';
import type { DataSource } from 'typeorm';
import { z } from 'zod';
import { PortalError } from '../database/errors.js';
import { hashOfProof, hashOfSource } from './token-request-budget.js';
import type { SecretBox } from '../encryption/secret-box.js';
import { countChanged, queryRows } from '../database/sql.js';

const pendingClaim = z.object({
  memberId: z.string(),
  domain: z.string(),
  applicationToken: z.string().optional(),
  accessToken: z.string(),
  refreshToken: z.string(),
  language: z.string().optional(),
  oauthHost: z.string().optional(),
});
/** An install as it arrived: nothing in it is trusted before its refresh token is exchanged. */
export type PendingClaim = z.infer<typeof pendingClaim>;

/**
 * `done`: decided, either way. `later`: not decided yet. `replacedBy`: the proof was exchanged, but storing the portal
 * failed; this claim has the new pair.
 */
export type ClaimOutcome = 'done' | 'later' | { replacedBy: PendingClaim };

/** Pending claims of one portal, for operators. */
interface WaitingInstall {
  memberId: string;
  claims: number;
  tries: number;
  keptAt: Date;
  nextTryAt: Date;
}

const FIRST_PAUSE_S = 5;
const MAX_PAUSE_S = 3_600;
/** Longer than one attempt: afterwards another process takes over the claim of a process that died. */
const LEASE_S = 120;
/** A person waits minutes: after two days the application has to be installed again anyway. */
const GIVEN_UP_AFTER = '2 days';
/** Anybody can post claims; they must not fill the disk. */
const LIMITS = { total: 10_000, perMember: 20 };
/** Evicted together, because finding the largest source reads the whole table. */
const EVICTION_BATCH_SIZE = 100;

interface Row {
  memberId: string;
  proofHash: Buffer;
  sealedClaim: string;
  tries: number;
}

/** Installs that the OAuth server could not confirm because it did not respond: stored encrypted and tried again. */
export class PendingInstalls {
  private newestFirst = false;

  constructor(
    private readonly dataSource: DataSource,
    private readonly box: SecretBox,
    private readonly log: Log,
  ) {}

  /**
   * Stores a claim; one with the same refresh token is stored once. A portal without a pending claim is always admitted:
   * if the table is full, claims of the source that has the most are deleted.
   * @param source key by which claims are counted together, such as a client's address
   * @param isDue whether it may be tried at once: it only waits for the exchange budget
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
    throw new PortalError('PENDING_FULL', 'Too many installs are pending', { memberId });
  }

  /** For operators: the number of pending claims, and the portals that have waited longest. */
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

  /** Only for a portal without a pending claim. */
  private async makeRoom(memberId: string): Promise<void> {
    const evicted = await countChanged(
      this.dataSource,
      `DELETE FROM portals.pending_installs WHERE (member_id, proof_hash) IN (
         SELECT member_id, proof_hash FROM portals.pending_installs
         WHERE (SELECT count(*) FROM portals.pending_installs) >= $2
           AND NOT EXISTS (SELECT FROM portals.pending_installs WHERE member_id = $1)
         ORDER BY count(*) OVER (PARTITION BY coalesce(source, proof_hash)) DESC, tries DESC, kept_at LIMIT $3)`,
      [memberId, LIMITS.total, EVICTION_BATCH_SIZE],
    );
    if (evicted === 0) return;
    this.log.warn(
      { event: 'install.pending.evicted', evicted },
      'too many installs are pending: some of the source that has the most were deleted',
    );
  }

  /**
   * Passes the due claims to `work` sequentially, at most `limit`; a claim is leased to one process. Claims whose source
   * had the fewest exchanges in the last minute come first; among equals the oldest and the newest alternate, so that
   * no claim waits behind a whole queue, long or growing. A claim that is `done` is deleted, because its proof can be
   * used once. After `later`, or an error, which is logged, it (or its replacement) is tried again after a delay that
   * doubles up to an hour; after two days it is deleted.
   * @param admit called before each attempt; false ends the round
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

  /** Whether a claim is due. */
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
      this.log.error(
        { event: 'install.pending.failed', err, memberId },
        'an attempt to confirm a pending install failed; it is tried again later',
      );
      return 'later';
    }
  }

  /** No lock outlives the statement: an attempt takes seconds and needs transactions of its own. */
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

  /** Only while this process has the lease, which `tries` identifies. */
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
      this.log.warn(
        { event: 'install.pending.expired', memberId, tries },
        'a pending install was never confirmed and is deleted: install the application again',
      );
    }
  }
}
