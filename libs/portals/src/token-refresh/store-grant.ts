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
 * Stores the new pair of a portal that the caller has locked, with what else the OAuth server said of it: the address it
 * has now, and that it works again.
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
    // Its outgoing webhooks have moved with it.
    await manager.query(
      `UPDATE portals.application_tokens SET host = $3 WHERE member_id = $1 AND kind = 'webhook' AND host = $2`,
      [memberId, hostOf(portal.clientEndpoint), hostOf(changes.clientEndpoint)],
    );
    log.info({ memberId, host: new URL(changes.clientEndpoint).host }, 'portal renamed');
  }
  if (portal.state === 'needs-reauth') log.info({ memberId }, 'the portal is authorized again');
  return changes.clientEndpoint;
}
