/** The credential of one portal. `endpoint` ends in `/`; the method's name is appended to it. */
export type PortalAccess =
  | {
      readonly kind: 'oauth';
      readonly endpoint: string;
      readonly accessToken: string;
      /**
       * `auth_connector` of requests that change something, so that the portal leaves them out of the offline queue
       * that was bound with the same (`api-reference/events/offline-events.md`). Only where its plan has `rest_auth_connector`.
       */
      readonly connector?: string | undefined;
    }
  /** `https://<portal>/rest/<user>/<secret>/`: the whole address is a secret. */
  | { readonly kind: 'webhook'; readonly endpoint: string };

/** Store of the credentials of one portal. */
export interface TokenStore {
  /**
   * @throws Bitrix24Error `NOT_INSTALLED`; `PORTAL_SUSPENDED` with `retryAfterMs` while the portal must not be called;
   *   or the store's own error
   */
  access(signal?: AbortSignal): Promise<PortalAccess>;
  /**
   * Called when the portal rejected `staleAccessToken` as expired. Returns newer credentials, and refreshes them only
   * if no other caller has: a second refresh of the same pair invalidates the first (`settings/oauth/auto-renewal.md`).
   */
  refresh(staleAccessToken: string, signal?: AbortSignal): Promise<PortalAccess>;
  /**
   * Called when the portal rejected `rejectedAccessToken` for another reason. Returns the stored credentials after
   * waiting for a token refresh in flight elsewhere: another process may have replaced, and so invalidated, the token
   * during the request. Without this method the caller uses `access`.
   */
  latest?(rejectedAccessToken: string, signal?: AbortSignal): Promise<PortalAccess>;
  /**
   * Called when the portal responded with a redirect at `staleEndpoint`: it was renamed
   * (`settings/how-to-call-rest-api/change-domen.md`). Returns credentials with an address that the OAuth server has
   * confirmed, never the redirect's target: any response could then obtain the tokens.
   *
   * @throws Bitrix24Error `REDIRECT` when no other address is confirmed
   */
  relocate?(staleEndpoint: string, signal?: AbortSignal): Promise<PortalAccess>;
  /** Called when the portal's plan rejected a request because of its `connector`; the request is sent again without one. */
  connectorRejected?(): Promise<void>;
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

/** The secrets of a credential, which an error must not contain. */
export function secretsOf(access: PortalAccess): string[] {
  if (access.kind === 'oauth') return [access.accessToken];
  const code = access.endpoint.split('/').findLast((segment) => segment !== '');
  return code === undefined ? [] : [code];
}
