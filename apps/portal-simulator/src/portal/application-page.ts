import { randomBytes } from 'node:crypto';
import { serverEndpoint, type Installation } from '../oauth/installation.js';
import type { TokenPair } from '../oauth/tokens.js';
import type { Values } from '../protocol/php.js';

export interface Opening {
  /** `DEFAULT` is the application's own page. */
  placement: string;
  /** What the placement is about; only widgets get it. */
  options?: Values | undefined;
}

/**
 * What the application's address gets when a user opens it, or its installation wizard
 * (settings/oauth/simple-way.md): a part in the query, the rest in the body.
 */
export function pageRequest(
  address: string,
  installation: Installation,
  { access, refreshToken }: TokenPair,
  { placement, options }: Opening,
): { url: string; form: Values } {
  const { portal, baseUrl, applicationToken, accessTokenSeconds } = installation;
  const url = new URL(address);
  url.searchParams.set('DOMAIN', portal.identity.domain);
  url.searchParams.set('PROTOCOL', baseUrl.startsWith('https:') ? '1' : '0');
  url.searchParams.set('LANG', portal.settings.language);
  url.searchParams.set('APP_SID', randomBytes(16).toString('hex'));
  const form = {
    AUTH_ID: access.token,
    AUTH_EXPIRES: accessTokenSeconds,
    REFRESH_ID: refreshToken,
    SERVER_ENDPOINT: serverEndpoint(baseUrl),
    APPLICATION_TOKEN: applicationToken,
    APPLICATION_SCOPE: installation.scope.join(','),
    member_id: portal.identity.memberId,
    status: 'L',
    PLACEMENT: placement,
    ...(options && { PLACEMENT_OPTIONS: JSON.stringify(options) }),
  };
  return { url: url.href, form };
}
