import { OAuthServer, PortalClient } from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import type { DataSource } from 'typeorm';
import { DatabaseTokenStore, exchangeTimeoutMs } from './database-token-store.js';
import type { SecretBox } from './secret-box.js';
import { RateBucket } from './rate-bucket.js';
import { Turns } from './turns.js';

/** A part of the pool: each renewal keeps a connection while the OAuth server thinks. */
const renewalsAtOnce = 3;

export interface PortalClientsOptions {
  dataSource: DataSource;
  box: SecretBox;
  /** The application's keys; without them expired tokens cannot be renewed, and only webhooks last. */
  oauth?: { url: string; clientId: string; clientSecret: string } | undefined;
  /** `host[:port]` of portals that may be plain http or private. */
  allowHosts: readonly string[];
  log: Log;
}

/** REST clients whose address and credentials come from the database, never from a request. */
export class PortalClients {
  readonly #known = new Map<string, { client: PortalClient; tokens: DatabaseTokenStore }>();
  readonly #turns = new Turns(renewalsAtOnce);
  readonly #bucket: RateBucket;
  readonly #oauth: OAuthServer | undefined;

  constructor(private readonly options: PortalClientsOptions) {
    const { oauth, allowHosts, dataSource } = options;
    this.#bucket = new RateBucket(dataSource);
    this.#oauth = oauth && new OAuthServer({ ...oauth, allowHosts, timeoutMs: exchangeTimeoutMs });
  }

  /** The one client of the portal in this process. A portal that is not installed shows at the first call. */
  for(memberId: string): PortalClient {
    const known = this.#known.get(memberId);
    if (known) return known.client;

    const { dataSource, box, log } = this.options;
    const parts = { memberId, dataSource, box, oauth: this.#oauth, log, turns: this.#turns };
    const tokens = new DatabaseTokenStore(parts);
    const beforeRequest = (signal?: AbortSignal) => this.#bucket.take(memberId, signal);
    const client = new PortalClient({ memberId, tokens, beforeRequest });
    this.#known.set(memberId, { client, tokens });
    return client;
  }

  /** Returns when no renewal is in hand any more: an unstored pair would be lost with the process. */
  async close(): Promise<void> {
    await Promise.all([...this.#known.values()].map(({ tokens }) => tokens.settled()));
  }
}
