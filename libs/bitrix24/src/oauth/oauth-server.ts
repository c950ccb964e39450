import { z } from 'zod';
import { AddressError, assertCallable } from '../http/ssrf-guard.js';
import { classifyOAuth, type ErrorClass, type Recovery, recoveryFor } from '../rest/classify.js';
import { readCode } from '../rest/errors.js';
import { post } from '../http/http-request.js';
import { parseJson } from '../rest/response.js';

const DEFAULT_TIMEOUT_MS = 15_000;
const MAX_RESPONSE_BYTES = 64 * 1024;
/** `settings/oauth/index.md`; used if the response has no valid `expires_in`. */
const TOKEN_LIFETIME_SECONDS = 3600;
/** Lifetime of the refresh token, 180 days: no server grants an access token for longer. */
const MAX_LIFETIME_SECONDS = 180 * 86_400;

/**
 * A token grant for one portal. The response's `domain` is left out on purpose: it is the OAuth server's host, not the
 * portal's (`settings/oauth/auto-renewal.md`).
 */
export interface TokenGrant {
  readonly memberId: string;
  /**
   * Validated, ends in `/`. Undefined when the server sent one that must not be called: the tokens are returned all the
   * same, because the previous pair is already invalid.
   */
  readonly clientEndpoint: string | undefined;
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Unix time in milliseconds, by our clock. */
  readonly expiresAt: number;
  readonly scope: string[];
  /**
   * `F` free, `D` demo, `T` trial, `P` paid, `L` local, `S` subscription (`api-reference/common/system/app-info.md`).
   */
  readonly status: string;
  /** The `host[:port]` of the portal's OAuth server, for the next refresh. */
  readonly oauthHost: string;
}

/** A failed token request. Contains the code only, no tokens and no other content of the response. */
export class OAuthError extends Error {
  override readonly name: string = 'OAuthError';
  readonly recovery: Recovery;

  /**
   * @param code as the server spells it (`invalid_grant`, `PAYMENT_REQUIRED`), or `TRANSPORT`, `TIMEOUT`, `REDIRECT`,
   *   `BAD_ANSWER`, `UNNAMED_ERROR`
   * @param unreachable true without a valid response: retry later. False when the server rejected the request
   */
  constructor(
    readonly code: string,
    readonly errorClass: ErrorClass,
    readonly unreachable: boolean,
    options?: ErrorOptions,
  ) {
    super(
      unreachable
        ? `no valid response from the OAuth server: ${code}`
        : `rejected by the OAuth server: ${code}`,
      options,
    );
    this.recovery = recoveryFor(errorClass);
  }
}

const rejection = z.object({ error: z.string() });
const filled = z.string().min(1);
/**
 * The old pair is invalid once this response is sent, so only the fields needed to call the portal are required.
 */
const grantSchema = z.object({
  access_token: filled,
  refresh_token: filled,
  member_id: filled,
  client_endpoint: filled,
  expires_in: z.coerce.number().positive().max(MAX_LIFETIME_SECONDS).catch(TOKEN_LIFETIME_SECONDS),
  scope: z.string().catch(''),
  status: z.string().catch(''),
  server_endpoint: z.string().catch(''),
});

export interface OAuthServerOptions {
  /** `https://oauth.bitrix.info`: from the configuration, never from a request. */
  readonly url: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Hosts for which a private or plain http `client_endpoint` is accepted: `host` or `host:port`. */
  readonly allowHosts?: readonly string[];
  readonly timeoutMs?: number;
  /** Default `bitrix24-rest-client`. */
  readonly userAgent?: string | undefined;
}

/** Client of an authorization server, the only trusted source of tokens (`settings/oauth/index.md`). */
export class OAuthServer {
  readonly #tokenUrl: URL;
  readonly #options: OAuthServerOptions;

  /** @throws TypeError if `url` is not a URL */
  constructor(options: OAuthServerOptions) {
    this.#tokenUrl = new URL(`${options.url.replace(/\/+$/, '')}/oauth/token/`);
    this.#options = options;
  }

  /**
   * Exchanges a refresh token for a new pair; the old pair is invalid afterwards. Sent as a POST form, which the server
   * accepts besides the documented GET, so that no secret gets into an access log.
   *
   * @throws OAuthError, or the signal's reason
   */
  async refresh(refreshToken: string, signal?: AbortSignal): Promise<TokenGrant> {
    const { clientId, clientSecret, timeoutMs = DEFAULT_TIMEOUT_MS, userAgent } = this.#options;
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      client_id: clientId,
      client_secret: clientSecret,
      refresh_token: refreshToken,
    });
    const response = await post({
      url: this.#tokenUrl,
      contentType: 'application/x-www-form-urlencoded',
      headers: userAgent === undefined ? {} : { 'user-agent': userAgent },
      body: form.toString(),
      timeoutMs,
      maxResponseBytes: MAX_RESPONSE_BYTES,
      // The operator has configured this server, so any address is allowed.
      allowHosts: [this.#tokenUrl.host],
      signal,
    });
    if (!response.ok) throw unreachableServer(response.code, response.cause);
    const body = parseJson(response.text);
    const rejected = rejection.safeParse(body);
    if (rejected.success) {
      throw reject(readCode(rejected.data.error, [clientSecret, refreshToken]), response.httpStatus);
    }
    const granted = grantSchema.safeParse(body);
    if (!granted.success || response.httpStatus >= 300) throw unreachableServer('BAD_ANSWER');
    return this.#accept(granted.data);
  }

  #accept(granted: z.infer<typeof grantSchema>): TokenGrant {
    return {
      memberId: granted.member_id,
      clientEndpoint: this.#checkEndpoint(granted.client_endpoint),
      accessToken: granted.access_token,
      refreshToken: granted.refresh_token,
      expiresAt: Date.now() + granted.expires_in * 1000,
      scope: granted.scope.split(',').filter((name) => name !== ''),
      status: granted.status,
      oauthHost: hostOf(granted.server_endpoint) ?? this.#tokenUrl.host,
    };
  }

  #checkEndpoint(endpoint: string): string | undefined {
    try {
      return assertCallable(endpoint, this.#options.allowHosts ?? []);
    } catch (error) {
      if (error instanceof AddressError) return undefined;
      throw error;
    }
  }
}

function reject(code: string, httpStatus: number): OAuthError {
  if (httpStatus === 429 || httpStatus >= 500) return unreachableServer(code);
  const rejected = classifyOAuth(code);
  return new OAuthError(rejected.code, rejected.errorClass, false);
}

function unreachableServer(code: string, cause?: string): OAuthError {
  return new OAuthError(code, 'unavailable', true, cause === undefined ? undefined : { cause });
}

function hostOf(address: string): string | undefined {
  return URL.canParse(address) ? new URL(address).host || undefined : undefined;
}

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
