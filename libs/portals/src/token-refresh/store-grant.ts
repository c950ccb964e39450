import type { TokenGrant } from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import type { EntityManager } from 'typeorm';
import { saveOAuthCredentials } from '../credentials.js';
import { PortalEntity } from '../entities.js';
import { announce } from '../notifier.js';
import type { SecretBox } from '../encryption/secret-box.js';
import { domainOf, hostOf } from '../portal-domain.js';

type Refreshable = Pick<PortalEntity, 'domain' | 'clientEndpoint' | 'state' | 'scope' | 'status'>;

/**
 * Stores the new pair of a portal that the caller has locked, with the other data of the grant: the current address,
 * and the end of `needs-reauth`.
 * @returns the address to call
 */
export async function storeGrant(
  { manager, box, log }: { manager: EntityManager; box: SecretBox; log: Log },
  portal: PortalEntity,
  grant: TokenGrant,
  earlyRenewals: number,
): Promise<string> {
  const { memberId } = portal;
  const changes = refreshedPortal(portal, grant);
  await saveOAuthCredentials(manager, box, grant, earlyRenewals);
  if (!changes) return portal.clientEndpoint;
  await manager.update(PortalEntity, { memberId }, changes);
  await announce(manager, 'portals', memberId);
  if (changes.clientEndpoint !== portal.clientEndpoint) {
    // The portal's outgoing webhooks have moved, too.
    await manager.query(
      `UPDATE portals.application_tokens SET host = $3 WHERE member_id = $1 AND kind = 'webhook' AND host = $2`,
      [memberId, hostOf(portal.clientEndpoint), hostOf(changes.clientEndpoint)],
    );
    log.info({ memberId, host: new URL(changes.clientEndpoint).host }, 'portal renamed');
  }
  if (portal.state === 'needs-reauth') log.info({ memberId }, 'the portal is authorized again');
  return changes.clientEndpoint;
}

/** The portal's columns that a grant changes; undefined when nothing changes. */
function refreshedPortal(portal: Refreshable, grant: TokenGrant): Refreshable | undefined {
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
