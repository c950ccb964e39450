import { assertCallable, type TokenGrant } from '@relay/bitrix24';
import { type Log, silentLog } from '@relay/platform';
import type { DataSource, EntityManager } from 'typeorm';
import { hashApplicationToken } from './application-token.js';
import { lockCredentials, lockPortal, saveOAuthCredentials, saveWebhookCredentials } from './credentials.js';
import { forgetBindingAttempts, forgetBindings } from './binding-attempts.js';
import {
  ApplicationTokenEntity,
  CredentialsEntity,
  PendingInstallEntity,
  PortalEntity,
  type ApplicationTokenKind,
} from './entities.js';
import { PortalStoreUnavailableError, notInstalled, PortalError } from './errors.js';
import { inTransaction } from './in-transaction.js';
import { announce } from './notifier.js';
import { domainOf, hostOf, isSameHost } from './portal-domain.js';
import type { SecretBox } from './encryption/secret-box.js';
import { storeGrant } from './token-refresh/store-grant.js';
import { notSuspended } from './suspension/state.js';

export interface WebhookRegistration {
  memberId: string;
  webhookUrl: string;
  applicationToken: string;
  mayMove?: boolean;
}

/** Installs and removes portals. Each change is one transaction, and is announced when it is committed. */
export class PortalRepository {
  constructor(
    private readonly dataSource: DataSource,
    private readonly box: SecretBox,
    private readonly allowHosts: readonly string[],
    private readonly log: Log = silentLog,
  ) {}

  /**
   * For whoever is about to use up a proof whose outcome must be stored.
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
   * Stores a portal whose install the OAuth server has confirmed by `grant`; a portal installed before is updated.
   * Its handlers vanished at the install (`settings/app-installation/`), so what is known of them is forgotten; an
   * older application token is no longer good, while those of outgoing webhooks of the same host stay: a pair of another
   * host proves nothing of the portal that the OAuth server has confirmed. So do its settings, and, where the claim names
   * no language or no application token, those that are known. The domain is the host of the confirmed address.
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
      await announce(manager, 'portals', memberId);
    });
  }

  /**
   * Stores a portal that nobody has installed before, without an application token. What a portal that is known has stays.
   * @returns whether it was unknown
   * @throws PortalError ENDPOINT_NOT_ALLOWED
   */
  async installUnknown(grant: TokenGrant, claim: { language?: string | undefined }): Promise<boolean> {
    const fields = { ...confirmedFields(grant), language: claim.language };
    const { memberId } = fields;
    return inTransaction(this.dataSource, async (manager) => {
      if (!(await insertPortal(manager, fields))) return false;
      await saveOAuthCredentials(manager, this.box, grant);
      await announce(manager, 'portals', memberId);
      return true;
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
      await storeGrant({ manager, box: this.box, log: this.log }, portal, grant, 0);
      // What failed with the pair of before says nothing about this one.
      await forgetBindingAttempts(manager, memberId);
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
   * Stores a portal known by a webhook pair: an incoming webhook to call, the token of an outgoing one to believe. The
   * domain is the host of the former. Where the application itself is installed, its credentials stay and only the token
   * is added. A portal that is known is changed by a pair of its own host alone.
   * @param pair `webhookUrl` is a secret: `https://<portal>/rest/<user>/<secret>/`; `mayMove`: the operator has said whose
   *   it is, so that a portal without an application may have another host than before
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
      // Those of an application that is gone, kept to know a repeated uninstall by; this is another installation.
      if (known?.state === 'uninstalled')
        await manager.delete(ApplicationTokenEntity, { memberId, kind: 'app' });
      if (installed) {
        await addToken(manager, memberId, applicationToken, 'webhook', hostOf(webhookUrl));
        await announce(manager, 'portals', memberId);
        return;
      }
    }
    await saveWebhookCredentials(manager, this.box, memberId, webhookUrl);
    await this.dropForeignTokens(manager, memberId, webhookUrl);
    await addToken(manager, memberId, applicationToken, 'webhook', hostOf(webhookUrl));
    await announce(manager, 'portals', memberId);
  }

  /** Tokens of outgoing webhooks that came with pairs of other hosts than the portal's. */
  private async dropForeignTokens(manager: EntityManager, memberId: string, endpoint: string): Promise<void> {
    const [, dropped] = await manager.query<[unknown[], number]>(
      `DELETE FROM portals.application_tokens
       WHERE member_id = $1 AND kind = 'webhook' AND host IS DISTINCT FROM $2`,
      [memberId, hostOf(endpoint)],
    );
    if (dropped === 0) return;
    this.log.warn({ memberId, dropped }, 'tokens of webhook pairs of another host are believed no longer');
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
      await forgetBindings(manager, memberId);
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
      const portal = await lockPortal(manager, memberId);
      if (!portal) throw notInstalled(memberId);
      await addToken(manager, memberId, token, kind, hostOf(portal.clientEndpoint));
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
  language?: string | undefined;
};

/** What the OAuth server has said of a portal. @throws PortalError ENDPOINT_NOT_ALLOWED */
function confirmedFields({ memberId, clientEndpoint, scope, status }: TokenGrant): PortalFields {
  if (clientEndpoint === undefined) {
    const message = 'The portal has a private or plain http address: name its host in B24_ALLOW_HOSTS';
    throw new PortalError('ENDPOINT_NOT_ALLOWED', message, { memberId });
  }
  return { memberId, domain: domainOf(clientEndpoint) ?? memberId, clientEndpoint, scope, status };
}

/** A column that is left out, or undefined, stays as it is. */
async function savePortal(manager: EntityManager, portal: PortalFields): Promise<void> {
  await manager.upsert(PortalEntity, { ...portal, ...asInstalledNow }, ['memberId']);
}

/** @returns false when the portal is known, and left as it is */
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
  ...notSuspended,
  installedAt: () => 'now()',
  updatedAt: () => 'now()',
};

/** `https://portal/rest/1/secret/` without what is the webhook's own. */
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
