/** Row access to portals and credentials: the only place that defines the sealed columns and the lock order. */
import type { PortalAccess, TokenGrant } from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import type { DataSource, EntityManager } from 'typeorm';
import { CredentialsEntity, PortalEntity } from '../database/entities.js';
import { notInstalled } from '../database/errors.js';
import type { SecretBox } from '../encryption/secret-box.js';
import { notify } from '../database/postgres-listener.js';
import { countChanged, queryRows } from '../database/sql.js';
import { domainOf, hostOf } from './portal-domain.js';

/** Health columns of a new credential. */
const UNTRIED = { earlyRefreshes: 0, acceptedAt: null, rejectedSince: null, nextProbeAt: null } as const;

export async function saveOAuthCredentials(
  manager: EntityManager,
  box: SecretBox,
  grant: TokenGrant,
  earlyRefreshes = 0,
): Promise<void> {
  const { memberId } = grant;
  await save(manager, {
    ...UNTRIED,
    earlyRefreshes,
    memberId,
    kind: 'oauth',
    accessToken: box.seal(grant.accessToken, { memberId, field: 'access_token' }),
    refreshToken: box.seal(grant.refreshToken, { memberId, field: 'refresh_token' }),
    webhookUrl: null,
    expiresAt: new Date(grant.expiresAt),
    oauthHost: grant.oauthHost,
  });
}

export async function saveWebhookCredentials(
  manager: EntityManager,
  box: SecretBox,
  memberId: string,
  webhookUrl: string,
): Promise<void> {
  await save(manager, {
    ...UNTRIED,
    memberId,
    kind: 'webhook',
    accessToken: null,
    refreshToken: null,
    webhookUrl: box.seal(webhookUrl, { memberId, field: 'webhook_url' }),
    expiresAt: null,
    oauthHost: null,
  });
}

/** Stores the time of a relocation request to the OAuth server. */
export async function noteRelocation(manager: EntityManager, memberId: string): Promise<void> {
  await manager.query(
    'UPDATE portals.credentials SET relocation_asked_at = clock_timestamp() WHERE member_id = $1',
    [memberId],
  );
}

/** The stored data that a call needs. */
interface StoredAccess {
  portal: Pick<PortalEntity, 'clientEndpoint' | 'state'>;
  credentials: Pick<CredentialsEntity, 'memberId' | 'accessToken' | 'webhookUrl'>;
  /** `auth_connector` of changes; null or empty for none. Absent where only the pair matters. */
  connector?: string | null;
}

export interface ReadAccess extends StoredAccess {
  /** Whether the portal's next response tells something new about the token. */
  isInDoubt: boolean;
  /** An operator has resumed the portal, and it has not responded since. */
  isResuming: boolean;
}

/** @throws Bitrix24Error NOT_INSTALLED */
export async function readCredentials(dataSource: DataSource, memberId: string): Promise<ReadAccess> {
  const [row] = await queryRows<
    StoredAccess['portal'] &
      StoredAccess['credentials'] &
      Pick<ReadAccess, 'isInDoubt' | 'isResuming'> & { connector: string | null }
  >(
    dataSource,
    `SELECT member_id AS "memberId", client_endpoint AS "clientEndpoint", state,
       access_token AS "accessToken", webhook_url AS "webhookUrl",
       refused_since IS NOT NULL OR (early_renewals > 0 AND accepted_at IS NULL) AS "isInDoubt",
       state = 'installed' AND resuming_since IS NOT NULL AS "isResuming",
       (SELECT connector FROM portals.offline_access a
        WHERE a.member_id = portals.member_id AND has_connector AND delivery_mode <> 'online') AS connector
     FROM portals.portals JOIN portals.credentials USING (member_id) WHERE member_id = $1`,
    [memberId],
  );
  if (!row) throw notInstalled(memberId);
  const { connector, isInDoubt, isResuming } = row;
  return { portal: row, credentials: row, connector, isInDoubt, isResuming };
}

/** The plan of the portal does not have `rest_auth_connector` any more. Told once. */
export async function noteConnectorLost(
  { dataSource, log }: { dataSource: DataSource; log: Log },
  memberId: string,
): Promise<void> {
  const changed = await countChanged(
    dataSource,
    'UPDATE portals.offline_access SET has_connector = false WHERE member_id = $1 AND has_connector',
    [memberId],
  );
  if (changed === 0) return;
  log.warn(
    { event: 'offline.connector.lost', memberId },
    'the plan of the portal does not allow auth_connector any more: what we write comes back in the offline queue',
  );
}

/** @throws PortalError UNKNOWN_KEY, BROKEN_SEAL */
export function openAccess(box: SecretBox, { portal, credentials, connector }: StoredAccess): PortalAccess {
  const { memberId, accessToken, webhookUrl } = credentials;
  if (accessToken !== null) {
    const opened = box.open(accessToken, { memberId, field: 'access_token' });
    const access = { kind: 'oauth', endpoint: portal.clientEndpoint, accessToken: opened } as const;
    return connector ? { ...access, connector } : access;
  }
  return { kind: 'webhook', endpoint: box.open(webhookUrl ?? '', { memberId, field: 'webhook_url' }) };
}

/**
 * The first lock of every change of a portal. It does not block readers, nor inserts of rows that reference the portal.
 */
export async function lockPortal(manager: EntityManager, memberId: string): Promise<PortalEntity | null> {
  return manager.findOne(PortalEntity, { where: { memberId }, lock: { mode: 'for_no_key_update' } });
}

/**
 * Takes the exclusive lock for refreshing the pair, until the transaction ends. Returns the rows as of after the lock.
 * @throws Bitrix24Error NOT_INSTALLED
 */
export async function lockCredentials(
  manager: EntityManager,
  memberId: string,
): Promise<{ portal: PortalEntity; credentials: CredentialsEntity }> {
  const portal = await lockPortal(manager, memberId);
  const credentials = await manager.findOne(CredentialsEntity, {
    where: { memberId },
    lock: { mode: 'pessimistic_write' },
  });
  if (!portal || !credentials) throw notInstalled(memberId);
  return { portal, credentials };
}

async function save(
  manager: EntityManager,
  row: Omit<CredentialsEntity, 'updatedAt' | 'relocationAskedAt'>,
): Promise<void> {
  await manager.upsert(CredentialsEntity, { ...row, updatedAt: () => 'now()' }, ['memberId']);
}

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
  earlyRefreshes: number,
): Promise<string> {
  const { memberId } = portal;
  const changes = refreshedPortal(portal, grant);
  await saveOAuthCredentials(manager, box, grant, earlyRefreshes);
  if (!changes) return portal.clientEndpoint;
  await manager.update(PortalEntity, { memberId }, changes);
  await notify(manager, 'portals', memberId);
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
