import { assertCallable } from '@relay/bitrix24';
import type { DataSource } from 'typeorm';
import { hasApplicationToken, hashApplicationToken } from './application-token.js';
import type { PortalRegistry } from './portal-registry.js';
import type { SecretBox } from './keys/secret-box.js';

/** Forged events of unknown portals must not become queries: what waits is read again at most this often. */
const readEveryMs = 1_000;

interface Row {
  host: string;
  sealedUrl: string;
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
    private readonly registry: PortalRegistry,
    private readonly allowHosts: readonly string[],
  ) {}

  /**
   * Keeps a pair until its portal's first event; given again, it replaces the one before.
   * @param pair `webhookUrl` is a secret: `https://<portal>/rest/<user>/<secret>/`
   * @returns the portal's host, for the person who waits
   * @throws AddressError for an address that must not be called; RangeError for an empty token
   */
  async add(pair: { webhookUrl: string; applicationToken: string }): Promise<string> {
    const url = assertCallable(pair.webhookUrl, this.allowHosts);
    const { host } = new URL(url);
    await this.dataSource.query(
      `INSERT INTO portals.webhook_pairs (token_hash, host, sealed_url) VALUES ($1, $2, $3)
       ON CONFLICT (token_hash) DO UPDATE SET host = excluded.host, sealed_url = excluded.sealed_url, added_at = now()`,
      [
        hashApplicationToken(pair.applicationToken),
        host,
        this.box.seal(url, { memberId: host, field: 'webhook_url' }),
      ],
    );
    return host;
  }

  /** Registers the portal when its event brings the token of a pair that waits. @returns whether the event is believed */
  async claim(memberId: string, domain: string, applicationToken: string): Promise<boolean> {
    await this.#read();
    if (!hasApplicationToken(this.#waiting, applicationToken)) return false;
    const tokenHash = hashApplicationToken(applicationToken);
    const [row] = await this.dataSource.query<Row[]>(
      'SELECT host, sealed_url AS "sealedUrl" FROM portals.webhook_pairs WHERE token_hash = $1',
      [tokenHash],
    );
    if (!row) return this.#wasClaimed(memberId, tokenHash);
    const webhookUrl = this.box.open(row.sealedUrl, { memberId: row.host, field: 'webhook_url' });
    await this.registry.registerWebhook({
      memberId,
      domain: domain || row.host,
      webhookUrl,
      applicationToken,
    });
    await this.dataSource.query('DELETE FROM portals.webhook_pairs WHERE token_hash = $1', [tokenHash]);
    return true;
  }

  /** Another gateway was quicker with another event of the same portal. */
  async #wasClaimed(memberId: string, tokenHash: Buffer): Promise<boolean> {
    const rows = await this.dataSource.query<unknown[]>(
      'SELECT 1 FROM portals.application_tokens WHERE member_id = $1 AND hash = $2',
      [memberId, tokenHash],
    );
    return rows.length > 0;
  }

  async #read(): Promise<void> {
    if (Date.now() - this.#readAt < readEveryMs) return;
    this.#readAt = Date.now();
    const rows = await this.dataSource.query<{ hash: Buffer }[]>(
      'SELECT token_hash AS hash FROM portals.webhook_pairs',
    );
    this.#waiting = { tokenHashes: rows.map(({ hash }) => hash) };
  }
}
