import type { TokenGrant } from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import type { EntityManager } from 'typeorm';
import { saveOAuthCredentials } from '../credentials.js';
import { PortalEntity } from '../entities.js';
import { announce } from '../notifier.js';
import type { SecretBox } from '../encryption/secret-box.js';
import { hostOf } from '../portal-domain.js';
import { refreshedPortal } from './refreshed-portal.js';

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
