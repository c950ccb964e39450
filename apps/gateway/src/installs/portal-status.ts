import { hasApplicationToken, type KnownPortal } from '@relay/portals';
import type { PortalStatus } from './install-policy.js';

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
