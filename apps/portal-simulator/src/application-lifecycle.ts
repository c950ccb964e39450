import { pageRequest, type Opening } from './application-page.js';
import { installationAuth, uninstallationAuth } from './event-form.js';
import type { Posted } from './form-sender.js';
import { Installation } from './installation.js';
import type { Values } from './php.js';
import { ownerId } from './crm/cause.js';
import type { Portal } from './portal.js';
import { newToken, type TokenPair, type Tokens } from './tokens.js';

export const installKinds = ['event', 'callback', 'page'] as const;

export interface InstallOrder {
  /**
   * ONAPPINSTALL (api-reference/common/events/on-app-install.md); the installation callback of an application without a
   * page (settings/app-installation/local-apps/installation-callback.md); or its installation wizard.
   */
  kind: (typeof installKinds)[number];
  /** Nobody is told without one. */
  url?: string | undefined;
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
    private readonly now: () => number,
  ) {}

  /** A new installation with tokens of its own; the one before is gone, as are its handlers. */
  async install(portal: Portal, baseUrl: string, { kind, url, finish }: InstallOrder): Promise<Installed> {
    this.remove(portal);
    const installation = new Installation(portal, ownerId, baseUrl, kind !== 'page');
    portal.installation = installation;
    const pair = this.tokens.issue(installation, installation.userId, this.now());
    if (url === undefined) return { installation, pair, posted: undefined };
    if (kind === 'page') {
      const posted = await this.post(installation, pair, url, { placement: 'DEFAULT' });
      if (finish !== false && posted.answer === '200') await this.finish(portal, installation);
      return { installation, pair, posted };
    }
    const form =
      kind === 'callback'
        ? { auth: installationAuth(installation, pair) }
        : this.installedForm(installation, pair);
    return { installation, pair, posted: await portal.post('ONAPPINSTALL', url, form) };
  }

  /** What `BX24.installFinish()` does: events come from now on, and the first is ONAPPINSTALL to who bound it. */
  async finish(portal: Portal, installation: Installation): Promise<Posted[]> {
    if (installation.isFinished) return [];
    installation.isFinished = true;
    const urls = this.urlsOf(portal, 'ONAPPINSTALL');
    if (urls.length === 0) return [];
    const pair = this.tokens.issue(installation, installation.userId, this.now());
    const form = this.installedForm(installation, pair);
    return Promise.all(urls.map((url) => portal.post('ONAPPINSTALL', url, form)));
  }

  /** A user opens the application, with tokens of hers. */
  async open(installation: Installation, url: string, userId: number, opening: Opening): Promise<Posted> {
    return this.post(installation, this.tokens.issue(installation, userId, this.now()), url, opening);
  }

  /** A new version: ONAPPUPDATE brings a new application token, and the handlers are gone (event-bind.md). */
  async update(portal: Portal, installation: Installation): Promise<Posted[]> {
    const previous = installation.version;
    installation.version += 1;
    installation.applicationToken = newToken();
    const pair = this.tokens.issue(installation, installation.userId, this.now());
    const data = {
      VERSION: installation.version,
      PREVIOUS_VERSION: previous,
      LANGUAGE_ID: portal.settings.language,
    };
    const form = this.form('ONAPPUPDATE', data, installationAuth(installation, pair));
    const urls = this.urlsOf(portal, 'ONAPPUPDATE');
    this.dropHandlers(portal);
    return Promise.all(urls.map((url) => portal.post('ONAPPUPDATE', url, form)));
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
    const urls = new Set(this.urlsOf(portal, 'ONAPPUNINSTALL'));
    if (url !== undefined) urls.add(url);
    this.remove(portal);
    const data = { LANGUAGE_ID: portal.settings.language, CLEAN: clean };
    const form = this.form('ONAPPUNINSTALL', data, uninstallationAuth(installation));
    return Promise.all([...urls].map((one) => portal.post('ONAPPUNINSTALL', one, form)));
  }

  private async post(
    installation: Installation,
    pair: TokenPair,
    address: string,
    opening: Opening,
  ): Promise<Posted> {
    const { url, form } = pageRequest(address, installation, pair, opening);
    return installation.portal.post('PAGE', url, form);
  }

  private installedForm(installation: Installation, pair: TokenPair): Values {
    const data = {
      VERSION: installation.version,
      ACTIVE: 'Y',
      INSTALLED: 'Y',
      LANGUAGE_ID: installation.portal.settings.language,
    };
    return this.form('ONAPPINSTALL', data, installationAuth(installation, pair));
  }

  private form(event: string, data: Values, auth: Values): Values {
    return { event, data, ts: Math.floor(this.now() / 1000), auth };
  }

  private urlsOf(portal: Portal, event: string): string[] {
    return portal.handlers
      .of(event)
      .filter(({ owner }) => owner.kind === 'application')
      .map(({ url }) => url);
  }

  private remove(portal: Portal): void {
    if (!portal.installation) return;
    portal.installation.isInstalled = false;
    this.tokens.revokeAccess(portal.installation);
    portal.installation = undefined;
    this.dropHandlers(portal);
  }

  private dropHandlers(portal: Portal): void {
    portal.handlers.remove(({ owner }) => owner.kind === 'application');
  }
}
