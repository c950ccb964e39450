import type { PortalState } from '@relay/portals';

/**
 * How a token pair came to us: with an install in any of its forms (and an update that the known token does not prove),
 * with the application's page, or with an event that the application token proves.
 */
export type InstallSource = 'install' | 'app-page' | 'event';

/** What we know of the portal that the pair belongs to, before anything of it is stored. */
export interface PortalStatus {
  state: PortalState | 'unknown';
  /**
   * The application token that came with the pair: one that the portal's events may bring already, another, or none, as a
   * page of an older portal comes.
   */
  token: 'known' | 'new' | 'none';
}

/**
 * - `install`: store portal, pair and application token, and bind everything;
 * - `install-without-token`: the same of a portal that is not known yet, but its application token is not believed;
 * - `reauthorize`: store the pair, all else is as it was;
 * - `refuse`: the user whose pair it is must not stand for the portal;
 * - `nothing`: there is nothing to mend, or to say, that is not known.
 */
export type InstallDecision = 'install' | 'install-without-token' | 'reauthorize' | 'refuse' | 'nothing';

/**
 * Whether it matters that the pair is an administrator's. Every user who opens the application holds a pair that the
 * OAuth server confirms, and what came with it came through that user's browser, who may have changed it. As the portal's
 * pair it would read what that user may see, and what they may not would count as deleted; an application token that
 * they chose would let them forge every event.
 */
export function needsAdministrator(way: InstallSource, { state }: Pick<PortalStatus, 'state'>): boolean {
  return way !== 'event' || state === 'needs-reauth';
}

/**
 * The one place where a confirmed pair moves a portal from state to state; the diagram is in `docs/installing.md`.
 *
 * @param isAdministrator only asked for where `needsAdministrator` says so
 */
export function decideInstall(
  way: InstallSource,
  standing: PortalStatus,
  isAdministrator: boolean | undefined,
): InstallDecision {
  const { state, token } = standing;
  if (way === 'event') {
    if (state !== 'needs-reauth') return 'nothing';
    return isAdministrator ? 'reauthorize' : 'refuse';
  }
  if (!isAdministrator) return withoutAdministrator(way, standing);
  return way === 'app-page' && state === 'needs-reauth' && token !== 'new' ? 'reauthorize' : 'install';
}

/** Bitrix24 lets some users install who are no administrators; of a portal that is known they change nothing. */
function withoutAdministrator(way: InstallSource, { state, token }: PortalStatus): InstallDecision {
  if (state === 'unknown') return way === 'install' ? 'install-without-token' : 'refuse';
  return works(state) && token === 'known' ? 'nothing' : 'refuse';
}

/** Whether there is a pair that works, or will once the portal takes calls again. */
export function works(state: PortalStatus['state']): boolean {
  return state === 'installed' || state === 'suspended';
}
