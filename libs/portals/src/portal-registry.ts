import { assertCallable, type TokenGrant } from '@relay/bitrix24';
import { type Log, silentLog } from '@relay/platform';
import type { DataSource, EntityManager } from 'typeorm';
import { hashApplicationToken } from './application-token.js';
import { lockCredentials, lockPortal, saveOAuthCredentials, saveWebhookCredentials } from './credentials.js';
import {
  ApplicationTokenEntity,
  CredentialsEntity,
  EventBindingEntity,
  PendingInstallEntity,
  PortalEntity,
  type ApplicationTokenKind,
} from './entities.js';
import { DirectoryUnavailableError, notInstalled, PortalError } from './errors.js';
import { inTransaction } from './in-transaction.js';
import { announce } from './notifier.js';
import type { SecretBox } from './keys/secret-box.js';
import { storeGrant } from './renewal/store-grant.js';
import { notSuspended } from './suspension/state.js';

/** Installs and removes portals. Each change is one transaction, and is announced when it is committed. */
export class PortalRegistry {
  constructor(
    private readonly dataSource: DataSource,
    private readonly box: SecretBox,
    private readonly allowHosts: readonly string[],
    private readonly log: Log = silentLog,
  ) {}

  /**
   * For whoever is about to use up a proof whose outcome must be stored.
   * @throws DirectoryUnavailableError
   */
  async requireDatabase(memberId: string): Promise<void> {
    try {
      await this.dataSource.query('SELECT 1');
    } catch (error) {
      throw new DirectoryUnavailableError(memberId, error);
    }
  }

  /**
   * Stores a portal whose install the OAuth server has confirmed by `grant`; a portal installed before is updated.
   * Its handlers vanished at the install (`settings/app-installation/`), so what is known of them is forgotten; an
   * older application token is no longer good, while those of outgoing webhooks stay. So do its settings, and, where
   * the claim names no language or no application token, those that are known.
   * @throws PortalError ENDPOINT_NOT_ALLOWED
   */
  async install(
    grant: TokenGrant,
    claim: { domain: string; applicationToken?: string; language?: string },
  ): Promise<void> {
    const { memberId, clientEndpoint } = grant;
    if (clientEndpoint === undefined) {
      const message = 'The portal has a private or plain http address: name its host in B24_ALLOW_HOSTS';
      throw new PortalError('ENDPOINT_NOT_ALLOWED', message, { memberId });
    }
    await inTransaction(this.dataSource, async (manager) => {
      await savePortal(manager, {
        memberId,
        domain: claim.domain,
        language: claim.language,
        clientEndpoint,
        scope: grant.scope,
        status: grant.status,
      });
      await saveOAuthCredentials(manager, this.box, grant);
      if (claim.applicationToken !== undefined) {
        await manager.delete(ApplicationTokenEntity, { memberId, kind: 'app' });
        await addToken(manager, memberId, claim.applicationToken, 'app');
      }
      await manager.delete(EventBindingEntity, { memberId });
      await announce(manager, 'portals', memberId);
    });
  }

  /**
   * Stores a pair that the OAuth server has granted for an installed portal, as when its application was opened there,
   * and takes back `needs-reauth`. Application tokens, bindings and settings stay: nothing was installed.
   * @throws Bitrix24Error NOT_INSTALLED, also for a portal that is known by webhooks only
   */
  async reauthorize(grant: TokenGrant): Promise<void> {
    const { memberId } = grant;
    await inTransaction(this.dataSource, async (manager) => {
      const { portal, credentials } = await lockCredentials(manager, memberId);
      if (credentials.kind !== 'oauth') throw notInstalled(memberId);
      await storeGrant({ manager, box: this.box, log: this.log }, portal, grant);
    });
  }

  /** As the portal spells it, such as `tr`. */
  async setLanguage(memberId: string, language: string): Promise<void> {
    await inTransaction(this.dataSource, async (manager) => {
      await manager.update(PortalEntity, { memberId }, { language });
      await announce(manager, 'portals', memberId);
    });
  }

  /**
   * Stores a portal known by a webhook pair: an incoming webhook to call, the token of an outgoing one to believe.
   * Where the application itself is installed, its credentials stay and only the token is added.
   * @param portal `webhookUrl` is a secret: `https://<portal>/rest/<user>/<secret>/`
   * @throws AddressError for an address that must not be called
   */
  async registerWebhook(portal: {
    memberId: string;
    domain: string;
    webhookUrl: string;
    applicationToken: string;
  }): Promise<void> {
    const { memberId, domain } = portal;
    const webhookUrl = assertCallable(portal.webhookUrl, this.allowHosts);
    await inTransaction(this.dataSource, async (manager) => {
      await lockPortal(manager, memberId);
      const installed = await manager.existsBy(CredentialsEntity, { memberId, kind: 'oauth' });
      if (!installed) {
        const clientEndpoint = new URL('/rest/', webhookUrl).href;
        await savePortal(manager, { memberId, domain, clientEndpoint, scope: [], status: '' });
        await saveWebhookCredentials(manager, this.box, memberId, webhookUrl);
      }
      await addToken(manager, memberId, portal.applicationToken, 'webhook');
      await announce(manager, 'portals', memberId);
    });
  }

  /**
   * Forgets the credentials and the bindings of a portal; harmless when repeated or unknown. The hash of its
   * application token stays, so that a repeated ONAPPUNINSTALL is still told from a forged one; the state
   * `uninstalled` tells the gateway to let no other event in.
   * @param clean whether its settings go, too: `CLEAN` of `api-reference/common/events/on-app-uninstall.md`
   */
  async uninstall(memberId: string, { clean = false } = {}): Promise<void> {
    await inTransaction(this.dataSource, async (manager) => {
      const portal = await lockPortal(manager, memberId);
      if (!portal) return;
      const forgotten = { ...notSuspended, ...(clean ? { settings: {}, language: null } : {}) };
      await manager.update(PortalEntity, { memberId }, { state: 'uninstalled', ...forgotten });
      // Claims of the installation that is gone; a repeat must not take those of the next one.
      if (portal.state !== 'uninstalled') await manager.delete(PendingInstallEntity, { memberId });
      await manager.delete(CredentialsEntity, { memberId });
      await manager.delete(EventBindingEntity, { memberId });
      await announce(manager, 'portals', memberId);
    });
  }

  /**
   * One more token that events of the portal may carry: what ONAPPUPDATE brought, or that of an outgoing webhook,
   * which survives the next install.
   * @throws Bitrix24Error NOT_INSTALLED
   */
  async addApplicationToken(
    memberId: string,
    token: string,
    kind: ApplicationTokenKind = 'app',
  ): Promise<void> {
    await inTransaction(this.dataSource, async (manager) => {
      if (!(await lockPortal(manager, memberId))) throw notInstalled(memberId);
      await addToken(manager, memberId, token, kind);
      await announce(manager, 'portals', memberId);
    });
  }

  /** Member ids of the portals where the application works; webhook pairs, which cannot bind events, are none. */
  async installed(): Promise<string[]> {
    const rows = await this.dataSource.query<{ memberId: string }[]>(
      `SELECT member_id AS "memberId" FROM portals.portals JOIN portals.credentials USING (member_id)
       WHERE state = 'installed' AND kind = 'oauth' ORDER BY member_id`,
    );
    return rows.map(({ memberId }) => memberId);
  }
}

type PortalFields = Pick<PortalEntity, 'memberId' | 'domain' | 'clientEndpoint' | 'scope' | 'status'> & {
  language?: string;
};

/** A column that is left out, or undefined, stays as it is. */
async function savePortal(manager: EntityManager, portal: PortalFields): Promise<void> {
  const row = {
    ...portal,
    state: 'installed' as const,
    ...notSuspended,
    installedAt: () => 'now()',
    updatedAt: () => 'now()',
  };
  await manager.upsert(PortalEntity, row, ['memberId']);
}

async function addToken(
  manager: EntityManager,
  memberId: string,
  token: string,
  kind: ApplicationTokenKind,
): Promise<void> {
  const row = { memberId, hash: hashApplicationToken(token), kind };
  await manager.createQueryBuilder().insert().into(ApplicationTokenEntity).values(row).orIgnore().execute();
}
