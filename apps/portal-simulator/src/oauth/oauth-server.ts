import { oauthErrorOf } from '../faults/suspension.js';
import { respond, notExecuted, type RestResponse } from '../http/response.js';
import { accessTokenOf } from '../http/http-server.js';
import { textOf, type Values } from '../protocol/php.js';
import { RestError, SYSTEM_ERRORS } from '../protocol/rest-error.js';
import { clientEndpoint, serverEndpoint, showApplication, type ApplicationKeys } from './installation.js';
import type { AccessToken, TokenPair, Tokens } from './tokens.js';

/** The name that matches the token endpoint in a fault rule. */
const TOKEN_ENDPOINT = 'oauth.token';

/** The OAuth server of all portals, `https://oauth.bitrix.info` in production (settings/oauth/auto-renewal.md). */
export class OAuthServer {
  constructor(
    private readonly tokens: Tokens,
    private readonly keys: ApplicationKeys,
    private readonly now: () => number,
  ) {}

  /**
   * Exchanges a refresh token. `baseUrl` is the address by which the caller reached the simulator, so the caller can
   * reach the `client_endpoint` of the response.
   */
  refresh(params: Values, baseUrl: string): RestResponse {
    try {
      return this.handleRefresh(params, baseUrl);
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
      return { status: error.status, body: error.body };
    }
  }

  /** `app.info` of the OAuth server: the trusted status of the application. */
  applicationInfo(params: Values, bearer?: string): RestResponse {
    return respond(() => {
      const access = this.tokens.find(accessTokenOf(params, bearer));
      if (!access) throw SYSTEM_ERRORS.noAuth;
      if (this.now() >= access.expiresAtMs) throw SYSTEM_ERRORS.expired;
      return { result: showApplication(access.installation, this.keys.clientId) };
    });
  }

  /** @throws RestError for an invalid, suspended or rejected request */
  private handleRefresh(params: Values, baseUrl: string): RestResponse {
    const given = (name: string): string => textOf(params[name]) ?? '';
    if (given('grant_type') !== 'refresh_token' || given('refresh_token') === '') {
      throw new RestError('invalid_request', 'Invalid request');
    }
    if (given('client_id') !== this.keys.clientId || given('client_secret') !== this.keys.clientSecret) {
      throw new RestError('invalid_client', 'Invalid client data', 401);
    }
    const installation = this.tokens.ownerOf(given('refresh_token'), this.now());
    if (!installation) throw new RestError('invalid_grant', 'Invalid refresh token');
    if (!installation.isInstalled) throw new RestError('invalid_client', 'Application is not installed', 401);
    const { portal } = installation;
    portal.stats.countCall(TOKEN_ENDPOINT);
    const suspensionError = oauthErrorOf(portal.suspension);
    if (suspensionError) throw suspensionError;
    const fault = portal.faults.take(TOKEN_ENDPOINT, params);
    if (fault instanceof RestError) throw fault;
    if (fault?.executed === false) return notExecuted(fault);
    return respond(() => {
      const pair = this.tokens.rotate(given('refresh_token'), this.now());
      if (!pair) throw new RestError('invalid_grant', 'Invalid refresh token');
      portal.stats.countTokenRefresh();
      installation.baseUrl = baseUrl;
      return this.grant(pair, baseUrl);
    }, fault);
  }

  private grant({ access, refreshToken }: TokenPair, baseUrl: string): Values {
    const { scope, portal } = access.installation;
    return {
      access_token: access.token,
      client_endpoint: clientEndpoint(baseUrl, portal.identity.name),
      domain: new URL(baseUrl).host,
      expires: Math.floor(access.expiresAtMs / 1000),
      expires_in: lifetimeOf(access),
      member_id: portal.identity.memberId,
      refresh_token: refreshToken,
      scope: scope.join(','),
      server_endpoint: serverEndpoint(baseUrl),
      status: 'L',
      user_id: access.userId,
    };
  }
}

function lifetimeOf({ installation }: AccessToken): number {
  return installation.accessTokenSeconds;
}
