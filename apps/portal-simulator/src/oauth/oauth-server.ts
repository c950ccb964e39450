import { oauthRefusal } from '../faults/suspension.js';
import { answerOf, unexecutedAnswer, type Answer } from '../http/answer.js';
import { accessTokenOf } from '../http/http-server.js';
import { textOf, type Values } from '../protocol/php.js';
import { RestError, systemErrors } from '../protocol/rest-error.js';
import { clientEndpoint, serverEndpoint, showApplication, type ApplicationKeys } from './installation.js';
import type { AccessToken, TokenPair, Tokens } from './tokens.js';

/** The name by which faults are ordered for the token endpoint. */
const TOKEN_ENDPOINT = 'oauth.token';

/**
 * The OAuth server of all portals: `https://oauth.bitrix.info` in real life
 * (settings/oauth/auto-renewal.md).
 */
export class OAuth {
  constructor(
    private readonly tokens: Tokens,
    private readonly keys: ApplicationKeys,
    private readonly now: () => number,
  ) {}

  /**
   * Exchanges a refresh token. `baseUrl` is the address under which the caller reached us, so the
   * `client_endpoint` of the answer can be reached from there as well.
   */
  refresh(params: Values, baseUrl: string): Answer {
    try {
      return this.handleRefresh(params, baseUrl);
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
      return { status: error.status, body: error.body };
    }
  }

  /** `app.info` on the OAuth server: the status that can be trusted. */
  applicationInfo(params: Values, bearer?: string): Answer {
    return answerOf(() => {
      const access = this.tokens.find(accessTokenOf(params, bearer));
      if (!access) throw systemErrors.noAuth;
      if (this.now() >= access.expiresAtMs) throw systemErrors.expired;
      return { result: showApplication(access.installation, this.keys.clientId) };
    });
  }

  /** @throws RestError when the request gets no further than the door */
  private handleRefresh(params: Values, baseUrl: string): Answer {
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
    portal.stats.called(TOKEN_ENDPOINT);
    const suspended = oauthRefusal(portal.suspension);
    if (suspended) throw suspended;
    const fault = portal.faults.take(TOKEN_ENDPOINT, params);
    if (fault instanceof RestError) throw fault;
    if (fault?.executed === false) return unexecutedAnswer(fault);
    return answerOf(() => {
      const pair = this.tokens.rotate(given('refresh_token'), this.now());
      if (!pair) throw new RestError('invalid_grant', 'Invalid refresh token');
      portal.stats.renewals += 1;
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
