import { OAuthServer, type OAuthServerOptions, type TokenGrant } from './oauth-server.js';

export interface OAuthServersOptions extends Omit<OAuthServerOptions, 'url'> {
  /** The trusted servers; the first is the default. */
  readonly urls: readonly string[];
}

type TokenSource = Pick<OAuthServer, 'refresh'>;

interface BelievedServer {
  host: string;
  source: TokenSource;
}

/**
 * The trusted authorization servers. A portal belongs to one of them, which its tokens name as `server_endpoint`:
 * `oauth.bitrix.info`, or, for eastern portals, `oauth.bitrix24.tech` (`settings/oauth/auto-renewal.md`). That name
 * only selects from the list; no other address is ever called.
 */
export class OAuthServers {
  readonly #servers: readonly BelievedServer[];
  readonly #first: BelievedServer;

  /** @param wrap a decorator of each server. @throws TypeError if the list is empty, or an entry is not a URL */
  constructor(
    { urls, ...options }: OAuthServersOptions,
    wrap: (server: OAuthServer) => TokenSource = (server) => server,
  ) {
    this.#servers = urls.map((url) => ({
      host: new URL(url).host,
      source: wrap(new OAuthServer({ ...options, url })),
    }));
    const [first] = this.#servers;
    if (first === undefined) throw new TypeError('no OAuth server is believed');
    this.#first = first;
  }

  /**
   * Exchanges a refresh token at the portal's server; see `OAuthServer.refresh`.
   * @param oauthHost `host[:port]` as the tokens named it; an untrusted one is ignored
   * @returns a grant whose `oauthHost` is always a trusted server
   * @throws OAuthError
   */
  async refresh(refreshToken: string, oauthHost?: string): Promise<TokenGrant> {
    const server = this.#believed(oauthHost) ?? this.#first;
    const grant = await server.source.refresh(refreshToken);
    const { host } = this.#believed(grant.oauthHost) ?? server;
    return { ...grant, oauthHost: host };
  }

  #believed(named: string | undefined): BelievedServer | undefined {
    return this.#servers.find(({ host }) => host === named);
  }
}
