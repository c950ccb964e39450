import { OAuthServer, type OAuthServerOptions, type TokenGrant } from './oauth-server.js';

export interface OAuthServersOptions extends Omit<OAuthServerOptions, 'url'> {
  /** The servers that are believed; the first is asked where nothing says which. */
  readonly urls: readonly string[];
}

type TokenSource = Pick<OAuthServer, 'refresh'>;

interface BelievedServer {
  host: string;
  source: TokenSource;
}

/**
 * The authorization servers that are believed. A portal belongs to one of them, which its tokens name as
 * `server_endpoint`: `oauth.bitrix.info`, or, for eastern portals, `oauth.bitrix24.tech`
 * (`settings/oauth/auto-renewal.md`). What is named only chooses from the list; no other address is ever asked.
 */
export class OAuthServers {
  readonly #servers: readonly BelievedServer[];
  readonly #first: BelievedServer;

  /** @param wrap what stands before each of them. @throws TypeError if there is no server, or a `url` is none */
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
   * Exchanges a refresh token at the server that it belongs to; see `OAuthServer.refresh`.
   * @param oauthHost `host[:port]` as the tokens named it; one that is not believed counts as none
   * @returns `oauthHost` of the grant is always that of a believed server
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
