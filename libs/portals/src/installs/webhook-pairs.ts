import { assertCallable } from '@relay/bitrix24';
import type { DataSource, EntityManager } from 'typeorm';
import { hasApplicationToken, hashApplicationToken } from '../repository/application-token.js';
import { PortalError } from '../database/errors.js';
import { inTransaction, queryRows } from '../database/sql.js';
import type { PortalRepository } from '../repository/portal-repository.js';
import type { SecretBox } from '../encryption/secret-box.js';

/** Minimum interval of reads: forged events of unknown portals must not cause a query each. */
const READ_EVERY_MS = 1_000;

interface Row {
  host: string;
  sealedUrl: string;
  isNamed: boolean;
}

/** For operators. */
interface WaitingPair {
  host: string;
  /** The portal, if the operator named it. */
  memberId: string | null;
  addedAt: Date;
}

/**
 * Pairs of an incoming webhook, for calls, and an outgoing one, which sends events. Neither contains the portal's
 * `member_id`; the first event does. Its token, which only the portal and the operator know, proves that the pair is of
 * that portal.
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
   * Stores a pair until its portal's first event; replaces a pair with the same token.
   * @param pair `webhookUrl` is a secret: `https://<portal>/rest/<user>/<secret>/`; `memberId`, if the operator knows
   *   it: then no other portal can claim the pair
   * @returns the portal's host
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

  /** Pairs without a first event, oldest first. */
  waiting(): Promise<WaitingPair[]> {
    return queryRows<WaitingPair>(
      this.dataSource,
      `SELECT host, member_id AS "memberId", added_at AS "addedAt" FROM portals.webhook_pairs ORDER BY added_at, host`,
    );
  }

  /**
   * Registers the portal if its event has the token of a waiting pair. A pair registers one portal: it is deleted in the
   * same transaction, and stays if that fails, for example for a portal of another host.
   * @returns whether the event is authentic
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

  /** Another gateway has claimed the pair for another event of the same portal. */
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
