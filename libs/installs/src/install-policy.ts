import { hasApplicationToken, type KnownPortal, type PortalState } from '@relay/portals';
import type { TokenGrant } from '@relay/bitrix24';
import type { InstallClaim } from '@relay/events';

/**
 * The source of a token pair: an install in any form (or an update without the known token),
 * the application's page, or an event that the application token authenticates.
 */
export type InstallSource = 'install' | 'app-page' | 'event';

/** The state of the portal before anything of the pair is stored. */
export interface PortalStatus {
  state: PortalState | 'unknown';
  /**
   * The application token that came with the pair: the current one of the portal, another one, or none, as from
   * a page of an older portal.
   */
  token: 'known' | 'new' | 'none';
}

/**
 * - `install`: store portal, pair and application token, and bind everything;
 * - `install-without-token`: the same for an unknown portal, but its application token is not trusted;
 * - `reauthorize`: store only the pair;
 * - `reject`: the user of the pair may not install;
 * - `nothing`: nothing to change.
 */
export type InstallDecision = 'install' | 'install-without-token' | 'reauthorize' | 'reject' | 'nothing';

/**
 * Whether the pair must be an administrator's. Every user who opens the application holds a pair that the OAuth server
 * confirms, and its form came through that user's browser, who may have changed it. With a user's pair the mirror would
 * treat everything that this user may not see as deleted; with an application token of their choice a user could forge
 * every event.
 */
export function needsAdministrator(source: InstallSource, { state }: Pick<PortalStatus, 'state'>): boolean {
  return source !== 'event' || state === 'needs-reauth';
}

/**
 * The only place where a confirmed pair changes the state of a portal; the diagram is in `docs/installing.md`.
 *
 * @param isAdministrator only called if `needsAdministrator` is true
 */
export function decideInstall(
  source: InstallSource,
  status: PortalStatus,
  isAdministrator: boolean | undefined,
): InstallDecision {
  const { state, token } = status;
  if (source === 'event') {
    if (state !== 'needs-reauth') return 'nothing';
    return isAdministrator ? 'reauthorize' : 'reject';
  }
  if (!isAdministrator) return withoutAdministrator(source, status);
  return source === 'app-page' && state === 'needs-reauth' && token !== 'new' ? 'reauthorize' : 'install';
}

/** Bitrix24 lets some users install who are not administrators; they change nothing at a known portal. */
function withoutAdministrator(source: InstallSource, { state, token }: PortalStatus): InstallDecision {
  if (state === 'unknown') return source === 'install' ? 'install-without-token' : 'reject';
  return isAuthorized(state) && token === 'known' ? 'nothing' : 'reject';
}

/** Whether the stored pair works, or will work when the portal accepts calls again. */
export function isAuthorized(state: PortalStatus['state']): boolean {
  return state === 'installed' || state === 'suspended';
}

/** How a claim relates to the known portal. The token of an outgoing webhook is not the application's. */
export function portalStatusOf(
  { applicationToken }: { applicationToken?: string | undefined },
  portal: KnownPortal | undefined,
): PortalStatus {
  const state = portal?.state ?? 'unknown';
  if (applicationToken === undefined) return { state, token: 'none' };
  return { state, token: knowsToken(portal, applicationToken) ? 'known' : 'new' };
}

/** Whether it is the current application token of this portal. */
export function knowsToken(portal: KnownPortal | undefined, applicationToken: string): boolean {
  return (
    portal !== undefined && hasApplicationToken({ tokenHashes: portal.appTokenHashes }, applicationToken)
  );
}

/** The OAuth server confirmed a claim, but a later step failed. The refresh token is used up; this error has the new one. */
export class InstallIncompleteError extends Error {
  override readonly name = 'InstallIncompleteError';
  /** Private, because it holds secrets, and a logged error shows all its visible fields. */
  readonly #claim: InstallClaim;

  constructor(claim: InstallClaim, { accessToken, refreshToken, oauthHost }: TokenGrant, cause: unknown) {
    super('A confirmed install could not be applied', { cause });
    this.#claim = { ...claim, accessToken, refreshToken, oauthHost };
  }

  /** The same claim with the new pair, which is an equal proof. */
  get claim(): InstallClaim {
    return this.#claim;
  }
}

/** Why a claim changes nothing. `reason` is a code for the caller, the page and the metric. */
export class InstallRejectedError extends Error {
  override readonly name = 'InstallRejectedError';
  constructor(
    /** 401: not confirmed, or not an administrator's; 503: it cannot be checked now. */
    readonly status: 401 | 503,
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(reason, options);
  }
}
