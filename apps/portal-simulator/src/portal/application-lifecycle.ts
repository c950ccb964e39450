import { randomBytes } from 'node:crypto';
import { OWNER_ID } from '../crm/users.js';
import type { Posted } from '../events/event-delivery.js';
import { grantedAuth, installationAuth, uninstallationAuth } from '../events/event-form.js';
import type { Handler } from '../events/handlers.js';
import { Installation, newToken, serverEndpoint, type ApplicationKeys } from '../oauth/installation.js';
import type { TokenPair, Tokens } from '../oauth/tokens.js';
import type { Values } from '../protocol/php.js';
import type { Portal } from './portal.js';

export const INSTALL_KINDS = ['event', 'callback', 'page'] as const;

/** Whom the portal makes for an application that works without its users; no administrator. */
const SYSTEM_USER_ID = 512;

export interface InstallOrder {
  /**
   * ONAPPINSTALL (api-reference/common/events/on-app-install.md); the installation callback of an application without a
   * page (settings/app-installation/local-apps/installation-callback.md); or its installation wizard.
   */
  kind: (typeof INSTALL_KINDS)[number];
  /** Nobody is told without one. */
  url?: string | undefined;
  /** Who installs it: the owner, an administrator, if nobody else is said. */
  userId?: number | undefined;
  /** Of a page: whether it says, once it answered 200, that the installation is finished. */
  finish?: boolean | undefined;
}

export interface Installed {
  installation: Installation;
  pair: TokenPair;
  /** Undefined when nobody was told. */
  posted: Posted | undefined;
}

/** Installs, updates and uninstalls the application at a portal, opens its page, and tells it so. */
export class ApplicationLifecycle {
  constructor(
    private readonly tokens: Tokens,
    private readonly keys: ApplicationKeys,
    private readonly now: () => number,
  ) {}

  /**
   * A new installation with tokens of its own; the one before is gone, as are its handlers. The install address of an
   * application without a page is bound to ONAPPINSTALL by the portal itself.
   */
  async install(portal: Portal, baseUrl: string, order: InstallOrder): Promise<Installed> {
    const { kind, url, userId = OWNER_ID, finish } = order;
    this.remove(portal);
    const installation = new Installation(portal, userId, baseUrl, kind !== 'page');
    portal.installation = installation;
    const pair = this.issue(installation);
    if (url === undefined) return { installation, pair, posted: undefined };
    if (kind === 'page') {
      const posted = await this.post(portal, installation, pair, url, { placement: 'DEFAULT' });
      if (finish !== false && posted.answer === '200') await this.finish(portal, installation);
      return { installation, pair, posted };
    }
    const handler = this.bindItself(portal, installation, 'ONAPPINSTALL', url);
    const form =
      kind === 'callback'
        ? { auth: installationAuth(installation, pair) }
        : this.installedForm(installation, handler, pair);
    return { installation, pair, posted: await portal.post('ONAPPINSTALL', url, form) };
  }

  /** What `BX24.installFinish()` does: events come from now on, and the first is ONAPPINSTALL to who bound it. */
  async finish(portal: Portal, installation: Installation): Promise<Posted[]> {
    if (installation.isFinished) return [];
    installation.isFinished = true;
    return this.tellInstalled(portal, installation);
  }

  /** A user opens the application, with tokens of hers. */
  async open(
    portal: Portal,
    installation: Installation,
    url: string,
    userId: number,
    opening: Opening,
  ): Promise<Posted> {
    return this.post(portal, installation, this.tokens.issue(installation, userId, this.now()), url, opening);
  }

  /**
   * A new version: ONAPPUPDATE brings a new application token, and the handlers stay (event-bind.md). An application without
   * a page gets ONAPPINSTALL as well.
   */
  async update(portal: Portal, installation: Installation): Promise<Posted[]> {
    const data = {
      VERSION: installation.version + 1,
      PREVIOUS_VERSION: installation.version,
      LANGUAGE_ID: portal.settings.language,
    };
    installation.version += 1;
    installation.applicationToken = newToken();
    const updated = this.handlersOf(portal, 'ONAPPUPDATE').map((handler) => {
      const auth = installationAuth(installation, this.issue(installation));
      return portal.post('ONAPPUPDATE', handler.url, this.form('ONAPPUPDATE', data, auth, handler));
    });
    const installed = installation.isApiOnly ? this.tellInstalled(portal, installation) : [];
    return [...(await Promise.all(updated)), ...(await installed)];
  }

  /**
   * ONAPPUNINSTALL to every handler bound to it (and to `url`); its rights are gone before it is told. `clean`: whether
   * the user wants the application's data deleted (api-reference/common/events/on-app-uninstall.md).
   */
  async uninstall(
    portal: Portal,
    installation: Installation,
    { url, clean }: { url?: string | undefined; clean: 0 | 1 },
  ): Promise<Posted[]> {
    const urls = new Set(this.handlersOf(portal, 'ONAPPUNINSTALL').map((handler) => handler.url));
    if (url !== undefined) urls.add(url);
    this.remove(portal);
    const data = { LANGUAGE_ID: portal.settings.language, CLEAN: clean };
    const form = this.form('ONAPPUNINSTALL', data, uninstallationAuth(installation));
    return Promise.all([...urls].map((one) => portal.post('ONAPPUNINSTALL', one, form)));
  }

  /**
   * The portal has made the application a user of its own, and tells the install address of it: ONAPPUSERREADY, with long
   * tokens of that user's in `data` (api-reference/common/events/on-app-user-ready.md).
   */
  async userReady(portal: Portal, installation: Installation, url: string): Promise<Posted> {
    const handler = this.bindItself(portal, installation, 'ONAPPUSERREADY', url);
    const pair = this.tokens.issue(installation, SYSTEM_USER_ID, this.now());
    const data = {
      ...grantedAuth(installation, pair),
      client_id: this.keys.clientId,
      LANGUAGE_ID: portal.settings.language,
    };
    const auth = {
      ...grantedAuth(installation, this.issue(installation)),
      application_token: installation.applicationToken,
    };
    return portal.post('ONAPPUSERREADY', url, this.form('ONAPPUSERREADY', data, auth, handler));
  }

  private async tellInstalled(portal: Portal, installation: Installation): Promise<Posted[]> {
    const posts = this.handlersOf(portal, 'ONAPPINSTALL').map((handler) => {
      const form = this.installedForm(installation, handler, this.issue(installation));
      return portal.post('ONAPPINSTALL', handler.url, form);
    });
    return Promise.all(posts);
  }

  private async post(
    portal: Portal,
    installation: Installation,
    pair: TokenPair,
    address: string,
    opening: Opening,
  ): Promise<Posted> {
    const { url, form } = pageRequest(address, installation, pair, opening);
    return portal.post('PAGE', url, form);
  }

  private installedForm(installation: Installation, handler: Handler | undefined, pair: TokenPair): Values {
    const data = {
      VERSION: installation.version,
      ACTIVE: 'Y',
      INSTALLED: 'Y',
      LANGUAGE_ID: installation.portal.settings.language,
    };
    return this.form('ONAPPINSTALL', data, installationAuth(installation, pair), handler);
  }

  private form(event: string, data: Values, auth: Values, handler?: Handler): Values {
    return {
      event,
      ...(handler && { event_handler_id: handler.id }),
      data,
      ts: Math.floor(this.now() / 1000),
      auth,
    };
  }

  /** Whoever installs the application gets the tokens. */
  private issue(installation: Installation): TokenPair {
    return this.tokens.issue(installation, installation.userId, this.now());
  }

  /** As the portal does unasked. */
  private bindItself(
    portal: Portal,
    installation: Installation,
    event: string,
    url: string,
  ): Handler | undefined {
    const { handlers } = portal;
    const bound = handlers.bind(event, url, { kind: 'application', installation, authType: 0 });
    return bound ?? handlers.of(event).find((handler) => handler.url === url);
  }

  private handlersOf(portal: Portal, event: string): Handler[] {
    return portal.handlers.of(event).filter(({ owner }) => owner.kind === 'application');
  }

  private remove(portal: Portal): void {
    if (!portal.installation) return;
    portal.installation.isInstalled = false;
    this.tokens.revokeAccess(portal.installation);
    portal.installation = undefined;
    portal.handlers.remove(({ owner }) => owner.kind === 'application');
  }
}

export interface Opening {
  /** `DEFAULT` is the application's own page. */
  placement: string;
  /** What the placement is about; only widgets get it. */
  options?: Values | undefined;
}

/**
 * What the application's address gets when a user opens it, or its installation wizard
 * (settings/oauth/simple-way.md): a part in the query, the rest in the body.
 */
function pageRequest(
  address: string,
  installation: Installation,
  { access, refreshToken }: TokenPair,
  { placement, options }: Opening,
): { url: string; form: Values } {
  const { portal, baseUrl, applicationToken, accessTokenSeconds } = installation;
  const url = new URL(address);
  url.searchParams.set('DOMAIN', portal.identity.domain);
  url.searchParams.set('PROTOCOL', baseUrl.startsWith('https:') ? '1' : '0');
  url.searchParams.set('LANG', portal.settings.language);
  url.searchParams.set('APP_SID', randomBytes(16).toString('hex'));
  const form = {
    AUTH_ID: access.token,
    AUTH_EXPIRES: accessTokenSeconds,
    REFRESH_ID: refreshToken,
    SERVER_ENDPOINT: serverEndpoint(baseUrl),
    APPLICATION_TOKEN: applicationToken,
    APPLICATION_SCOPE: installation.scope.join(','),
    member_id: portal.identity.memberId,
    status: 'L',
    PLACEMENT: placement,
    ...(options && { PLACEMENT_OPTIONS: JSON.stringify(options) }),
  };
  return { url: url.href, form };
}
