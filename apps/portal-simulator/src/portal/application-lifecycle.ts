import { OWNER_ID } from '../crm/users.js';
import type { PostResult } from '../events/event-delivery.js';
import { grantedAuth, installationAuth, uninstallationAuth } from '../events/event-form.js';
import type { Handler } from '../events/handlers.js';
import { Installation, newToken, type ApplicationKeys } from '../oauth/installation.js';
import type { TokenPair, Tokens } from '../oauth/tokens.js';
import type { Values } from '../protocol/php.js';
import { pageRequest, type PageOpening } from './application-frame.js';
import type { Portal } from './portal.js';

export const INSTALL_KINDS = ['event', 'callback', 'page'] as const;

/** The system user that a portal creates for an application; no administrator. */
const SYSTEM_USER_ID = 512;

interface InstallOptions {
  /**
   * ONAPPINSTALL (api-reference/common/events/on-app-install.md); the installation callback of an application without a
   * page (settings/app-installation/local-apps/installation-callback.md); or its installation wizard.
   */
  kind: (typeof INSTALL_KINDS)[number];
  /** No request is sent if absent. */
  url?: string | undefined;
  /** Who installs it; the owner, an administrator, if absent. */
  userId?: number | undefined;
  /** The application's page; beside `url` if absent: `/b24/app` for `/b24/install`. */
  appUrl?: string | undefined;
  /** Whether the simulator opens the page itself, as a browser would; false: a frame opens it. */
  open?: boolean | undefined;
  /** Whether a page that answered 200 then calls BX24.installFinish(). */
  finish?: boolean | undefined;
}

export interface Installed {
  installation: Installation;
  pair: TokenPair;
  /** Undefined if no request was sent. */
  result: PostResult | undefined;
}

/**
 * Installs, updates and uninstalls the application at a portal, opens its page, and sends the events and requests of
 * each.
 */
export class ApplicationLifecycle {
  constructor(
    private readonly tokens: Tokens,
    private readonly keys: ApplicationKeys,
    private readonly now: () => number,
  ) {}

  /**
   * Makes a new installation with new tokens; the former one and its handlers are removed. The portal itself binds the
   * install address of an application without a page to ONAPPINSTALL.
   */
  async install(portal: Portal, baseUrl: string, options: InstallOptions): Promise<Installed> {
    const { kind, url, userId = OWNER_ID, finish, open } = options;
    this.remove(portal);
    const installation = new Installation(portal, userId, baseUrl, kind !== 'page');
    if (url !== undefined) {
      const application = options.appUrl ?? new URL('app', url).href;
      installation.pages = { installation: url, application };
    }
    portal.installation = installation;
    const pair = this.issue(installation);
    if (url === undefined || (kind === 'page' && open === false))
      return { installation, pair, result: undefined };
    if (kind === 'page') {
      const result = await this.postPage(portal, installation, pair, url, { placement: 'DEFAULT' });
      if (finish !== false && result.outcome === '200') await this.finish(portal, installation);
      return { installation, pair, result };
    }
    const handler = this.bindByPortal(portal, installation, 'ONAPPINSTALL', url);
    const form =
      kind === 'callback'
        ? { auth: installationAuth(installation, pair) }
        : this.installedForm(installation, handler, pair);
    return { installation, pair, result: await portal.post('ONAPPINSTALL', url, form) };
  }

  /** What `BX24.installFinish()` does: events are sent from now on, ONAPPINSTALL first. */
  async finish(portal: Portal, installation: Installation): Promise<PostResult[]> {
    if (installation.isFinished) return [];
    installation.isFinished = true;
    return this.postInstalled(portal, installation);
  }

  /** A user opens the application's page, with tokens of that user. */
  async openPage(
    portal: Portal,
    installation: Installation,
    url: string,
    userId: number,
    opening: PageOpening,
  ): Promise<PostResult> {
    return this.postPage(
      portal,
      installation,
      this.tokens.issue(installation, userId, this.now()),
      url,
      opening,
    );
  }

  /**
   * Updates the application: ONAPPUPDATE carries a new application token, and the handlers stay (event-bind.md). An
   * application without a page gets ONAPPINSTALL, too.
   */
  async update(portal: Portal, installation: Installation): Promise<PostResult[]> {
    const data = {
      VERSION: installation.version + 1,
      PREVIOUS_VERSION: installation.version,
      LANGUAGE_ID: portal.settings.language,
    };
    installation.version += 1;
    installation.applicationToken = newToken();
    const updated = this.applicationHandlers(portal, 'ONAPPUPDATE').map((handler) => {
      const auth = installationAuth(installation, this.issue(installation));
      return portal.post('ONAPPUPDATE', handler.url, this.form('ONAPPUPDATE', data, auth, handler));
    });
    const installed = installation.isApiOnly ? this.postInstalled(portal, installation) : [];
    return [...(await Promise.all(updated)), ...(await installed)];
  }

  /**
   * Sends ONAPPUNINSTALL to every handler that is bound to it, and to `url`; tokens are revoked before. `clean`:
   * whether the user wants the application's data deleted (api-reference/common/events/on-app-uninstall.md).
   */
  async uninstall(
    portal: Portal,
    installation: Installation,
    { url, clean }: { url?: string | undefined; clean: 0 | 1 },
  ): Promise<PostResult[]> {
    const urls = new Set(this.applicationHandlers(portal, 'ONAPPUNINSTALL').map((handler) => handler.url));
    if (url !== undefined) urls.add(url);
    this.remove(portal);
    const data = { LANGUAGE_ID: portal.settings.language, CLEAN: clean };
    const form = this.form('ONAPPUNINSTALL', data, uninstallationAuth(installation));
    return Promise.all([...urls].map((one) => portal.post('ONAPPUNINSTALL', one, form)));
  }

  /**
   * Sends ONAPPUSERREADY to the install address, as when the portal has created the system user; `data` holds
   * long-lived tokens of that user (api-reference/common/events/on-app-user-ready.md).
   */
  async userReady(portal: Portal, installation: Installation, url: string): Promise<PostResult> {
    const handler = this.bindByPortal(portal, installation, 'ONAPPUSERREADY', url);
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

  private async postInstalled(portal: Portal, installation: Installation): Promise<PostResult[]> {
    const posts = this.applicationHandlers(portal, 'ONAPPINSTALL').map((handler) => {
      const form = this.installedForm(installation, handler, this.issue(installation));
      return portal.post('ONAPPINSTALL', handler.url, form);
    });
    return Promise.all(posts);
  }

  private async postPage(
    portal: Portal,
    installation: Installation,
    pair: TokenPair,
    address: string,
    opening: PageOpening,
  ): Promise<PostResult> {
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

  /** Issues tokens of the user who installed the application. */
  private issue(installation: Installation): TokenPair {
    return this.tokens.issue(installation, installation.userId, this.now());
  }

  /** Binds a handler that no application asked for, as a portal does. */
  private bindByPortal(
    portal: Portal,
    installation: Installation,
    event: string,
    url: string,
  ): Handler | undefined {
    const { handlers } = portal;
    const bound = handlers.bind(event, url, { kind: 'application', installation, authType: 0 });
    return bound ?? handlers.of(event).find((handler) => handler.url === url);
  }

  private applicationHandlers(portal: Portal, event: string): Handler[] {
    return portal.handlers.of(event).filter(({ owner }) => owner.kind === 'application');
  }

  private remove(portal: Portal): void {
    if (!portal.installation) return;
    portal.installation.isInstalled = false;
    this.tokens.revokeAccess(portal.installation);
    portal.installation = undefined;
    portal.handlers.remove(({ owner }) => owner.kind === 'application');
    portal.offline.clear();
  }
}
