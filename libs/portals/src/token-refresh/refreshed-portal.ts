import type { TokenGrant } from '@relay/bitrix24';
import type { PortalEntity } from '../entities.js';
import { domainOf } from '../portal-domain.js';

type Refreshable = Pick<PortalEntity, 'domain' | 'clientEndpoint' | 'state' | 'scope' | 'status'>;

/** The portal's columns that a grant changes; undefined when nothing changes. */
export function refreshedPortal(portal: Refreshable, grant: TokenGrant): Refreshable | undefined {
  // An address that must not be called does not replace a callable one.
  const clientEndpoint = grant.clientEndpoint ?? portal.clientEndpoint;
  const refreshed: Refreshable = {
    // Also replaces a domain that came from a form.
    domain: domainOf(clientEndpoint) ?? portal.domain,
    clientEndpoint,
    // A new pair ends `needs-reauth`; it does not end a suspension, which has other reasons.
    state: portal.state === 'needs-reauth' ? 'installed' : portal.state,
    scope: grant.scope,
    status: grant.status,
  };
  const same =
    refreshed.domain === portal.domain &&
    refreshed.clientEndpoint === portal.clientEndpoint &&
    refreshed.state === portal.state &&
    refreshed.status === portal.status &&
    refreshed.scope.join() === portal.scope.join();
  return same ? undefined : refreshed;
}
