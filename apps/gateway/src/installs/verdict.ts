import type { PortalState } from '@relay/portals';

/**
 * How a token pair came to us: with an install in any of its forms (and an update that the known token does not prove),
 * with the application's page, or with an event that the application token proves.
 */
export type Way = 'install' | 'app-page' | 'event';

/** What we know of the portal that the pair belongs to, before anything of it is stored. */
export interface Standing {
  state: PortalState | 'unknown';
  /** The application token that came with the pair is one that the portal's events may bring already. */
  knowsToken: boolean;
}

/**
 * - `install`: store portal, pair and application token, and bind everything;
 * - `reauthorize`: store the pair, all else is as it was;
 * - `trust-token`: keep the pair that works, and believe one more application token;
 * - `refuse`: the user whose pair it is must not stand for the portal;
 * - `nothing`: there is nothing to mend any more.
 */
export type Verdict = 'install' | 'reauthorize' | 'trust-token' | 'refuse' | 'nothing';

/**
 * Whether it matters that the pair is an administrator's. Every user who opens the application holds a pair that the
 * OAuth server confirms. As the portal's it would read what that user may see, and what they may not would count as
 * deleted; so it never takes the place of one that works.
 */
export function needsAdministrator(way: Way, { state }: Standing): boolean {
  return way !== 'install' || works(state);
}

/**
 * The one place where a confirmed pair moves a portal from state to state; the diagram is in `docs/installing.md`.
 *
 * @param isAdministrator only asked for where `needsAdministrator` says so
 */
export function verdictOn(
  way: Way,
  { state, knowsToken }: Standing,
  isAdministrator: boolean | undefined,
): Verdict {
  if (way === 'event') {
    if (state !== 'needs-reauth') return 'nothing';
    return isAdministrator ? 'reauthorize' : 'refuse';
  }
  // Whoever may install an application stands for it from the first.
  if (way === 'install') return !works(state) || isAdministrator ? 'install' : 'trust-token';
  if (!isAdministrator) return works(state) ? 'trust-token' : 'refuse';
  return state === 'needs-reauth' && knowsToken ? 'reauthorize' : 'install';
}

/** Whether there is a pair that works, or will once the portal takes calls again. */
export function works(state: Standing['state']): boolean {
  return state === 'installed' || state === 'suspended';
}
