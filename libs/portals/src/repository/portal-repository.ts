import { assertCallable, type TokenGrant } from '@relay/bitrix24';
import { type Log, silentLog } from '@relay/platform';
import type { DataSource, EntityManager } from 'typeorm';
import { hashApplicationToken } from './application-token.js';
import {
  lockCredentials,
  lockPortal,
  saveOAuthCredentials,
  saveWebhookCredentials,
  storeGrant,
} from './credentials.js';
import { forgetEventBindingAttempts, forgetBindings } from '../subscriptions/event-binding-attempts.js';
import {
  ApplicationTokenEntity,
  CredentialsEntity,
  NOT_SUSPENDED,
  PendingInstallEntity,
  PortalEntity,
  type ApplicationTokenKind,
} from '../database/entities.js';
import { PortalStoreUnavailableError, notInstalled, PortalError } from '../database/errors.js';
import { countChanged, inTransaction } from '../database/sql.js';
import { notify } from '../database/postgres-listener.js';
import { domainOf, hostOf, isSameHost } from './portal-domain.js';
import type { SecretBox } from '../encryption/secret-box.js';

export interface WebhookRegistration {
  memberId: string;
  webhookUrl: string;
  applicationToken: string;
  mayMove?: boolean;
}

/** Repository of the portals. Each change is one transaction, with a notification at its commit. */
export class PortalRepository {
  constructor(
    private readonly dataSource: DataSource,
    private readonly box: SecretBox,
    private readonly allowHosts: readonly string[],
    private readonly log: Log = silentLog,
  ) {}

  /**
   * Checks the database before the caller consumes a refresh token whose result must be stored.
   * @throws PortalStoreUnavailableError
   */
  async requireDatabase(memberId: string): Promise<void> {
    try {
      await this.dataSource.query('SELECT 1');
    } catch (error) {
      throw new PortalStoreUnavailableError(memberId, error);
    }
  }

  /**
   * Upserts a portal whose install the OAuth server has confirmed by `grant`. An install removes the portal's event
   * handlers (`settings/app-installation/`), so the stored bindings are deleted. The old application token is replaced.
   * Tokens of outgoing webhooks of the same host stay; those of another host are not proof of the confirmed portal and
   * are deleted. Settings stay, as do language and application token if `claim` has none. The domain is the host of the
   * confirmed address.
   * @throws PortalError ENDPOINT_NOT_ALLOWED
   */
  async install(
    grant: TokenGrant,
    claim: { applicationToken?: string | undefined; language?: string | undefined },
  ): Promise<void> {
    const fields = { ...confirmedFields(grant), language: claim.language };
    const { memberId, clientEndpoint } = fields;
    await inTransaction(this.dataSource, async (manager) => {
      await savePortal(manager, fields);
      await saveOAuthCredentials(manager, this.box, grant);
      if (claim.applicationToken !== undefined) {
        await manager.delete(ApplicationTokenEntity, { memberId, kind: 'app' });
        await addToken(manager, memberId, claim.applicationToken, 'app');
      }
      await this.dropForeignTokens(manager, memberId, clientEndpoint);
      await forgetBindings(manager, memberId);
      await notify(manager, 'portals', memberId);
    });
  }

  /**
   * Inserts an unknown portal, without an application token. A known portal is not changed.
   * @returns whether it was inserted
   * @throws PortalError ENDPOINT_NOT_ALLOWED
   */
  async installUnknown(grant: TokenGrant, claim: { language?: string | undefined }): Promise<boolean> {
    const fields = { ...confirmedFields(grant), language: claim.language };
    const { memberId } = fields;
    return inTransaction(this.dataSource, async (manager) => {
      if (!(await insertPortal(manager, fields))) return false;
      await saveOAuthCredentials(manager, this.box, grant);
      await notify(manager, 'portals', memberId);
      return true;
    });
  }

  /**
   * Stores a pair that the OAuth server has granted for an installed portal, for example when its application was
   * opened, and ends `needs-reauth`. Application tokens, bindings and settings stay, because this is not an install.
   * @throws Bitrix24Error NOT_INSTALLED, also for a portal with webhooks only
   */
  async reauthorize(grant: TokenGrant): Promise<void> {
    const { memberId } = grant;
    await inTransaction(this.dataSource, async (manager) => {
      const { portal, credentials } = await lockCredentials(manager, memberId);
      if (credentials.kind !== 'oauth') throw notInstalled(memberId);
      await storeGrant({ manager, box: this.box, log: this.log }, portal, grant, 0);
      // Failures with the old pair do not apply to the new one.
      await forgetEventBindingAttempts(manager, memberId);
    });
  }

  /** @param language as the portal spells it, such as `tr` */
  async setLanguage(memberId: string, language: string): Promise<void> {
    await inTransaction(this.dataSource, async (manager) => {
      await manager.update(PortalEntity, { memberId }, { language });
      await notify(manager, 'portals', memberId);
    });
  }

  /**
   * Stores a portal with a webhook pair: the URL of an incoming webhook for calls, and the token of an outgoing one for
   * events. The domain is the URL's host. If the application is installed, its credentials stay and only the token is
   * added. A known portal is changed only by a pair of its own host.
   * @param pair `webhookUrl` is a secret: `https://<portal>/rest/<user>/<secret>/`; `mayMove`: the operator has named
   *   the portal, so that a portal without an application may change its host
   * @throws AddressError for an address that must not be called; PortalError OTHER_HOST
   */
  async registerWebhook(pair: WebhookRegistration): Promise<void> {
    await inTransaction(this.dataSource, (manager) => this.registerWebhookIn(manager, pair));
  }

  /** `registerWebhook` as a part of the caller's transaction, which ends with its error. */
  async registerWebhookIn(
    manager: EntityManager,
    { memberId, applicationToken, mayMove = false, ...pair }: WebhookRegistration,
  ): Promise<void> {
    const webhookUrl = assertCallable(pair.webhookUrl, this.allowHosts);
    const clientEndpoint = restAddress(webhookUrl);
    const fields = {
      memberId,
      domain: domainOf(webhookUrl) ?? memberId,
      clientEndpoint,
      scope: [],
      status: '',
    };
    if (!(await insertPortal(manager, fields))) {
      const known = await lockPortal(manager, memberId);
      const installed = await manager.existsBy(CredentialsEntity, { memberId, kind: 'oauth' });
      if (known && !isSameHost(known.clientEndpoint, webhookUrl) && (installed || !mayMove)) {
        throw new PortalError('OTHER_HOST', 'The webhook pair is of another host than the portal', {
          memberId,
        });
      }
      if (!installed) await savePortal(manager, fields);
      // Tokens of the uninstalled application were kept to authenticate a repeated uninstall; this is a new
      // installation.
      if (known?.state === 'uninstalled')
        await manager.delete(ApplicationTokenEntity, { memberId, kind: 'app' });
      if (installed) {
        await addToken(manager, memberId, applicationToken, 'webhook', hostOf(webhookUrl));
        await notify(manager, 'portals', memberId);
        return;
      }
    }
    await saveWebhookCredentials(manager, this.box, memberId, webhookUrl);
    await this.dropForeignTokens(manager, memberId, webhookUrl);
    await addToken(manager, memberId, applicationToken, 'webhook', hostOf(webhookUrl));
    await notify(manager, 'portals', memberId);
  }

  /** Deletes tokens of outgoing webhooks whose pair has another host than the portal. */
  private async dropForeignTokens(manager: EntityManager, memberId: string, endpoint: string): Promise<void> {
    const dropped = await countChanged(
      manager,
      `DELETE FROM portals.application_tokens
       WHERE member_id = $1 AND kind = 'webhook' AND host IS DISTINCT FROM $2`,
      [memberId, hostOf(endpoint)],
    );
    if (dropped === 0) return;
    this.log.warn(
      { event: 'portal.webhook_token.dropped', memberId, dropped },
      'application tokens of webhook pairs of another host were deleted',
    );
  }

  /**
   * Deletes the credentials and the bindings of a portal. Idempotent; an unknown portal is ignored. The hash of its
   * application token stays, to distinguish a repeated ONAPPUNINSTALL from a forged one; in the state `uninstalled` the
   * gateway rejects all other events.
   * @param clean also delete the settings: `CLEAN` of `api-reference/common/events/on-app-uninstall.md`
   */
  async uninstall(memberId: string, { clean = false } = {}): Promise<void> {
    await inTransaction(this.dataSource, async (manager) => {
      const portal = await lockPortal(manager, memberId);
      if (!portal) return;
      const forgotten = { ...NOT_SUSPENDED, ...(clean ? { settings: {}, language: null } : {}) };
      await manager.update(PortalEntity, { memberId }, { state: 'uninstalled', ...forgotten });
      // Pending claims of this installation; a repeated uninstall must not delete those of the next one.
      if (portal.state !== 'uninstalled') await manager.delete(PendingInstallEntity, { memberId });
      await manager.delete(CredentialsEntity, { memberId });
      await forgetBindings(manager, memberId);
      await notify(manager, 'portals', memberId);
    });
  }

  /**
   * Adds a token that authenticates events of the portal: from ONAPPUPDATE, or of an outgoing webhook, which survives
   * the next install.
   * @throws Bitrix24Error NOT_INSTALLED
   */
  async addApplicationToken(
    memberId: string,
    token: string,
    kind: ApplicationTokenKind = 'app',
  ): Promise<void> {
    await inTransaction(this.dataSource, async (manager) => {
      const portal = await lockPortal(manager, memberId);
      if (!portal) throw notInstalled(memberId);
      await addToken(manager, memberId, token, kind, hostOf(portal.clientEndpoint));
      await notify(manager, 'portals', memberId);
    });
  }
}

type PortalFields = Pick<PortalEntity, 'memberId' | 'domain' | 'clientEndpoint' | 'scope' | 'status'> & {
  language?: string | undefined;
};

/** The portal's columns from a grant. @throws PortalError ENDPOINT_NOT_ALLOWED */
function confirmedFields({ memberId, clientEndpoint, scope, status }: TokenGrant): PortalFields {
  if (clientEndpoint === undefined) {
    const message = 'The portal has a private or plain http address: name its host in B24_ALLOW_HOSTS';
    throw new PortalError('ENDPOINT_NOT_ALLOWED', message, { memberId });
  }
  return { memberId, domain: domainOf(clientEndpoint) ?? memberId, clientEndpoint, scope, status };
}

/** Upserts the portal. A missing or undefined column keeps its value. */
async function savePortal(manager: EntityManager, portal: PortalFields): Promise<void> {
  await manager.upsert(PortalEntity, { ...portal, ...asInstalledNow }, ['memberId']);
}

/** @returns false when the portal exists; it is not changed */
async function insertPortal(manager: EntityManager, portal: PortalFields): Promise<boolean> {
  const { raw } = await manager
    .createQueryBuilder()
    .insert()
    .into(PortalEntity)
    .values({ ...portal, ...asInstalledNow })
    .orIgnore()
    .returning('member_id')
    .execute();
  return Array.isArray(raw) && raw.length > 0;
}

const asInstalledNow = {
  state: 'installed' as const,
  ...NOT_SUSPENDED,
  installedAt: () => 'now()',
  updatedAt: () => 'now()',
};

/** `https://portal/rest/1/secret/` without the user and the secret. */
function restAddress(webhookUrl: string): string {
  return webhookUrl.replace(/\/rest\/.*$/, '/rest/');
}

async function addToken(
  manager: EntityManager,
  memberId: string,
  token: string,
  kind: ApplicationTokenKind,
  host?: string,
): Promise<void> {
  const row = { memberId, hash: hashApplicationToken(token), kind, host: kind === 'webhook' ? host : null };
  await manager.createQueryBuilder().insert().into(ApplicationTokenEntity).values(row).orIgnore().execute();
}
