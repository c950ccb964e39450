import type { TokenGrant } from '@relay/bitrix24';
import type { PortalEntity } from '../entities.js';
import { domainOf } from '../portal-domain.js';

type Refreshable = Pick<PortalEntity, 'domain' | 'clientEndpoint' | 'state' | 'scope' | 'status'>;

/** What a renewal says that is not stored yet; undefined when it is all known. */
export function refreshedPortal(portal: Refreshable, grant: TokenGrant): Refreshable | undefined {
  // An address that must not be called does not replace one that could be.
  const clientEndpoint = grant.clientEndpoint ?? portal.clientEndpoint;
  const renewed: Refreshable = {
    // Also where a form once said what the domain is.
    domain: domainOf(clientEndpoint) ?? portal.domain,
    clientEndpoint,
    // A new pair heals a dead one; it says nothing about why a portal is suspended.
    state: portal.state === 'needs-reauth' ? 'installed' : portal.state,
    scope: grant.scope,
    status: grant.status,
  };
  const same =
    renewed.domain === portal.domain &&
    renewed.clientEndpoint === portal.clientEndpoint &&
    renewed.state === portal.state &&
    renewed.status === portal.status &&
    renewed.scope.join() === portal.scope.join();
  return same ? undefined : renewed;
}
