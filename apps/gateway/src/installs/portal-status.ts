import { hasApplicationToken, type KnownPortal } from '@relay/portals';
import type { PortalStatus } from './install-policy.js';

/** What a claim is to a portal as we know it. The token of an outgoing webhook is none of the application's. */
export function portalStatusOf(
  { applicationToken }: { applicationToken?: string | undefined },
  portal: KnownPortal | undefined,
): PortalStatus {
  const state = portal?.state ?? 'unknown';
  if (applicationToken === undefined) return { state, token: 'none' };
  return { state, token: knowsToken(portal, applicationToken) ? 'known' : 'new' };
}

/** Whether it is the application's own token at this portal. */
export function knowsToken(portal: KnownPortal | undefined, applicationToken: string): boolean {
  return (
    portal !== undefined && hasApplicationToken({ tokenHashes: portal.appTokenHashes }, applicationToken)
  );
}
