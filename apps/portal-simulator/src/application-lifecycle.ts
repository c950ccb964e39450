import { installationAuth, uninstallationAuth } from './event-form.js';
import { Installation } from './installation.js';
import type { Values } from './php.js';
import { ownerId, type Portal } from './portal.js';
import { newToken, type TokenPair, type Tokens } from './tokens.js';

export type InstallKind = 'event' | 'callback';

export interface Installed {
  installation: Installation;
  pair: TokenPair;
  /**
   * How the address answered: an HTTP status, `timeout`, an error's code; undefined when there was no
   * address.
   */
  answer: string | undefined;
}

/** Installs, updates and uninstalls the application at a portal, and tells it so. */
export class ApplicationLifecycle {
  constructor(
    private readonly tokens: Tokens,
    private readonly now: () => number,
  ) {}

  /**
   * A new installation with tokens of its own; the one before is gone, as are its handlers. Told by
   * ONAPPINSTALL (api-reference/common/events/on-app-install.md) or, for a local application without a page,
   * by the installation callback (settings/app-installation/local-apps/installation-callback.md).
   */
  async install(portal: Portal, baseUrl: string, kind: InstallKind, url?: string): Promise<Installed> {
    this.remove(portal);
    const installation = new Installation(portal, ownerId, baseUrl);
    portal.installation = installation;
    const pair = this.tokens.issue(installation, installation.userId, this.now());
    const auth = installationAuth(installation, pair);
    const data = {
      VERSION: installation.version,
      ACTIVE: 'Y',
      INSTALLED: 'Y',
      LANGUAGE_ID: portal.settings.language,
    };
    const form = kind === 'callback' ? { auth } : this.form('ONAPPINSTALL', data, auth);
    const answer = url === undefined ? undefined : await portal.post('ONAPPINSTALL', url, form);
    return { installation, pair, answer };
  }

  /** A new version: ONAPPUPDATE brings a new application token, and the handlers are gone (event-bind.md). */
  async update(portal: Portal, installation: Installation): Promise<string[]> {
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

  /** ONAPPUNINSTALL to every handler bound to it (and to `url`); its rights are gone before it is told. */
  async uninstall(portal: Portal, installation: Installation, url?: string): Promise<string[]> {
    const urls = new Set(this.urlsOf(portal, 'ONAPPUNINSTALL'));
    if (url !== undefined) urls.add(url);
    this.remove(portal);
    const data = { LANGUAGE_ID: portal.settings.language, CLEAN: 1 };
    const form = this.form('ONAPPUNINSTALL', data, uninstallationAuth(installation));
    return Promise.all([...urls].map((one) => portal.post('ONAPPUNINSTALL', one, form)));
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
