import { z } from 'zod';
import { AddressError, assertCallable } from './address.js';
import { classifyOAuth, type ErrorClass, type Recovery, recoveryFor } from './classify.js';
import { readCode } from './errors.js';
import { post } from './http-request.js';
import { parseJson } from './json.js';

const DEFAULT_TIMEOUT_MS = 15_000;
const MAX_ANSWER_BYTES = 64 * 1024;
/** `settings/oauth/index.md`; used if the answer does not say. */
const TOKEN_LIFETIME_SECONDS = 3600;
/** Of the refresh token beside it, 180 days: an access token outlives that on no server. */
const MAX_LIFETIME_SECONDS = 180 * 86_400;

/**
 * What the OAuth server grants for one portal. The answer's `domain` is left out on purpose: it is the OAuth host's,
 * not the portal's (`settings/oauth/auto-renewal.md`).
 */
export interface TokenGrant {
  readonly memberId: string;
  /**
   * Checked, ends in `/`. Undefined when the server named one that must not be called: the tokens are handed out all the
   * same, since the pair before them is dead.
   */
  readonly clientEndpoint: string | undefined;
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Milliseconds since 1970, by our clock. */
  readonly expiresAt: number;
  readonly scope: string[];
  /** `F` free, `D` demo, `T` trial, `P` paid, `L` local, `S` subscription (`api-reference/common/system/app-info.md`). */
  readonly status: string;
  /** The `host[:port]` of the OAuth server that the portal belongs to: the next renewal goes there. */
  readonly oauthHost: string;
}

/** No grant. Holds neither tokens nor anything else of the answer but its code. */
export class OAuthError extends Error {
  override readonly name: string = 'OAuthError';
  readonly recovery: Recovery;

  /**
   * @param code as the server spells it (`invalid_grant`, `PAYMENT_REQUIRED`), or `TRANSPORT`, `TIMEOUT`, `REDIRECT`,
   *   `BAD_ANSWER`, `UNNAMED_ERROR`
   * @param unreachable whether there was no verdict: ask again later. False means that the server refused
   */
  constructor(
    readonly code: string,
    readonly errorClass: ErrorClass,
    readonly unreachable: boolean,
    options?: ErrorOptions,
  ) {
    super(
      unreachable ? `no verdict from the OAuth server: ${code}` : `refused by the OAuth server: ${code}`,
      options,
    );
    this.recovery = recoveryFor(errorClass);
  }
}

const refusal = z.object({ error: z.string() });
const filled = z.string().min(1);
/**
 * The old pair is dead as soon as this arrives, so only what a portal cannot be called without is required.
 */
const grant = z.object({
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
  /** `https://oauth.bitrix.info`: one that is configured, never one that a request named. */
  readonly url: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Hosts that a `client_endpoint` may have though they are private or plain http: `host` or `host:port`. */
  readonly allowHosts?: readonly string[];
  readonly timeoutMs?: number;
}

/** An authorization server, the only source of tokens that is believed (`settings/oauth/index.md`). */
export class OAuthServer {
  readonly #tokenUrl: URL;
  readonly #options: OAuthServerOptions;

  /** @throws TypeError if `url` is none */
  constructor(options: OAuthServerOptions) {
    this.#tokenUrl = new URL(`${options.url.replace(/\/+$/, '')}/oauth/token/`);
    this.#options = options;
  }

  /**
   * Exchanges a refresh token for a new pair; the old one is dead afterwards. Sent as a POST form, which the server takes as
   * well as the documented GET, so that no secret gets into a log of addresses.
   *
   * @throws OAuthError, or the signal's reason
   */
  async refresh(refreshToken: string, signal?: AbortSignal): Promise<TokenGrant> {
    const { clientId, clientSecret, timeoutMs = DEFAULT_TIMEOUT_MS } = this.#options;
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      client_id: clientId,
      client_secret: clientSecret,
      refresh_token: refreshToken,
    });
    const exchange = await post({
      url: this.#tokenUrl,
      contentType: 'application/x-www-form-urlencoded',
      body: form.toString(),
      timeoutMs,
      maxAnswerBytes: MAX_ANSWER_BYTES,
      // The operator has named this server, wherever it is.
      allowHosts: [this.#tokenUrl.host],
      signal,
    });
    if (!exchange.ok) throw noVerdict(exchange.code, exchange.cause);
    const body = parseJson(exchange.text);
    const refused = refusal.safeParse(body);
    if (refused.success) {
      throw refuse(readCode(refused.data.error, [clientSecret, refreshToken]), exchange.httpStatus);
    }
    const granted = grant.safeParse(body);
    if (!granted.success || exchange.httpStatus >= 300) throw noVerdict('BAD_ANSWER');
    return this.#accept(granted.data);
  }

  #accept(granted: z.infer<typeof grant>): TokenGrant {
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

function refuse(code: string, httpStatus: number): OAuthError {
  if (httpStatus === 429 || httpStatus >= 500) return noVerdict(code);
  const refused = classifyOAuth(code);
  return new OAuthError(refused.code, refused.errorClass, false);
}

function noVerdict(code: string, cause?: string): OAuthError {
  return new OAuthError(code, 'unavailable', true, cause === undefined ? undefined : { cause });
}

function hostOf(address: string): string | undefined {
  return URL.canParse(address) ? new URL(address).host || undefined : undefined;
}
