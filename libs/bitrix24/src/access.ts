/** The credential of one portal. `endpoint` ends in `/`; a method's name is appended to it. */
export type PortalAccess =
  | { readonly kind: 'oauth'; readonly endpoint: string; readonly accessToken: string }
  /** `https://<portal>/rest/<user>/<secret>/`: the whole address is a secret. */
  | { readonly kind: 'webhook'; readonly endpoint: string };

/** Where the credentials of one portal live. */
export interface TokenStore {
  /**
   * @throws Bitrix24Error `NOT_INSTALLED`; `PORTAL_SUSPENDED` with `retryAfterMs` when the portal is not to be called
   *   for now; or whatever keeps the store from answering
   */
  access(signal?: AbortSignal): Promise<PortalAccess>;
  /**
   * Called when the portal refused `staleAccessToken` as expired. Returns newer credentials than that, renewing them
   * only if nobody else has: a second renewal of the same pair kills the first (`settings/oauth/auto-renewal.md`).
   */
  refresh(staleAccessToken: string, signal?: AbortSignal): Promise<PortalAccess>;
  /**
   * Called when the portal refused `refusedAccessToken` for another reason. Returns the credentials that are stored now,
   * waiting for a renewal that is under way elsewhere: another process may have replaced the token, and so killed it, while
   * the request was under way. Without it `access` is asked.
   */
  latest?(refusedAccessToken: string, signal?: AbortSignal): Promise<PortalAccess>;
  /**
   * Called when the portal answered with a redirect from `staleEndpoint`: it was renamed
   * (`settings/how-to-call-rest-api/change-domen.md`). Returns credentials with an address that the OAuth server has
   * confirmed, never one that the redirect named: tokens would go wherever an answer points to.
   *
   * @throws Bitrix24Error `REDIRECT` when nobody confirms another address
   */
  relocate?(staleEndpoint: string, signal?: AbortSignal): Promise<PortalAccess>;
}

/**
 * The store of a single incoming webhook, which never expires (`local-integrations/local-webhooks.md`).
 *
 * @param address `https://<portal>/rest/<user>/<secret>/`, with or without the last slash
 */
export function webhookTokens(address: string): TokenStore {
  const access: PortalAccess = {
    kind: 'webhook',
    endpoint: address.endsWith('/') ? address : `${address}/`,
  };
  return { access: () => Promise.resolve(access), refresh: () => Promise.resolve(access) };
}

/** What of a credential must not come back in an error. */
export function secretsOf(access: PortalAccess): string[] {
  if (access.kind === 'oauth') return [access.accessToken];
  const code = access.endpoint.split('/').findLast((segment) => segment !== '');
  return code === undefined ? [] : [code];
}
