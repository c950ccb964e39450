import { assertCallable } from '@relay/bitrix24';
import type { DataSource, EntityManager } from 'typeorm';
import { hasApplicationToken, hashApplicationToken } from '../repository/application-token.js';
import { PortalError } from '../errors.js';
import { inTransaction } from '../in-transaction.js';
import type { PortalRepository } from '../repository/portal-repository.js';
import type { SecretBox } from '../encryption/secret-box.js';
import { queryRows } from '../store/sql.js';

/** Forged events of unknown portals must not become queries: what waits is read again at most this often. */
const READ_EVERY_MS = 1_000;

interface Row {
  host: string;
  sealedUrl: string;
  isNamed: boolean;
}

/** As an operator sees it. */
export interface WaitingPair {
  host: string;
  /** The portal that it is for, where the operator said so. */
  memberId: string | null;
  addedAt: Date;
}

/**
 * Portals that are known by a pair of webhooks, an incoming one to call and an outgoing one that sends events. Neither
 * tells the portal's `member_id`; the first event does, and the token that it brings, which only the portal and the
 * operator know, is the proof that it is this portal's.
 */
export class WebhookPairs {
  #waiting: { tokenHashes: Buffer[] } = { tokenHashes: [] };
  #readAt = 0;

  constructor(
    private readonly dataSource: DataSource,
    private readonly box: SecretBox,
    private readonly portalRepository: PortalRepository,
    private readonly allowHosts: readonly string[],
  ) {}

  /**
   * Keeps a pair until its portal's first event; given again, it replaces the one before.
   * @param pair `webhookUrl` is a secret: `https://<portal>/rest/<user>/<secret>/`; `memberId`, where the operator knows it:
   *   then no other portal can claim the pair
   * @returns the portal's host, for the person who waits
   * @throws AddressError for an address that must not be called; RangeError for an empty token
   */
  async add(pair: {
    webhookUrl: string;
    applicationToken: string;
    memberId?: string | undefined;
  }): Promise<string> {
    const url = assertCallable(pair.webhookUrl, this.allowHosts);
    const { host } = new URL(url);
    await this.dataSource.query(
      `INSERT INTO portals.webhook_pairs (token_hash, host, sealed_url, member_id) VALUES ($1, $2, $3, $4)
       ON CONFLICT (token_hash) DO UPDATE SET host = excluded.host, sealed_url = excluded.sealed_url,
         member_id = excluded.member_id, added_at = now()`,
      [
        hashApplicationToken(pair.applicationToken),
        host,
        this.box.seal(url, { memberId: host, field: 'webhook_url' }),
        pair.memberId ?? null,
      ],
    );
    return host;
  }

  /** Pairs that no event has claimed yet, the oldest first. */
  waiting(): Promise<WaitingPair[]> {
    return queryRows<WaitingPair>(
      this.dataSource,
      `SELECT host, member_id AS "memberId", added_at AS "addedAt" FROM portals.webhook_pairs ORDER BY added_at, host`,
    );
  }

  /**
   * Registers the portal when its event brings the token of a pair that waits. One pair makes one portal: it is taken in
   * the transaction that registers, and stays where that fails, as it does for a portal of another host.
   * @returns whether the event is believed
   */
  async claim(memberId: string, applicationToken: string): Promise<boolean> {
    await this.#read();
    if (!hasApplicationToken(this.#waiting, applicationToken)) return false;
    const tokenHash = hashApplicationToken(applicationToken);
    try {
      return await inTransaction(this.dataSource, async (manager) => {
        const [pair] = await queryRows<Row>(
          manager,
          `DELETE FROM portals.webhook_pairs WHERE token_hash = $1 AND coalesce(member_id, $2) = $2
           RETURNING host, sealed_url AS "sealedUrl", member_id IS NOT NULL AS "isNamed"`,
          [tokenHash, memberId],
        );
        if (!pair) return await this.#wasClaimed(manager, memberId, tokenHash);
        const webhookUrl = this.box.open(pair.sealedUrl, { memberId: pair.host, field: 'webhook_url' });
        const registration = { memberId, webhookUrl, applicationToken, mayMove: pair.isNamed };
        await this.portalRepository.registerWebhookIn(manager, registration);
        return true;
      });
    } catch (error) {
      if (!(error instanceof PortalError) || error.code !== 'OTHER_HOST') throw error;
      return false;
    }
  }

  /** Another gateway was quicker with another event of the same portal. */
  async #wasClaimed(manager: EntityManager, memberId: string, tokenHash: Buffer): Promise<boolean> {
    const rows = await queryRows(
      manager,
      'SELECT 1 FROM portals.application_tokens WHERE member_id = $1 AND hash = $2',
      [memberId, tokenHash],
    );
    return rows.length > 0;
  }

  async #read(): Promise<void> {
    if (Date.now() - this.#readAt < READ_EVERY_MS) return;
    this.#readAt = Date.now();
    const rows = await queryRows<{ hash: Buffer }>(
      this.dataSource,
      'SELECT token_hash AS hash FROM portals.webhook_pairs',
    );
    this.#waiting = { tokenHashes: rows.map(({ hash }) => hash) };
  }
}
