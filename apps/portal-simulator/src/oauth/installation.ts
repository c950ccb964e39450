import { randomBytes } from 'node:crypto';
import type { Faults } from '../faults/faults.js';
import type { SuspensionReason } from '../faults/suspension.js';
import type { Stats } from '../limits/stats.js';

/**
 * The application's keys, and the same for every portal: what `B24_CLIENT_ID` and `B24_CLIENT_SECRET` hold.
 */
export interface ApplicationKeys {
  clientId: string;
  clientSecret: string;
}

/** What an installation knows of its portal. */
export interface InstalledPortal {
  readonly identity: { readonly name: string; readonly memberId: string; readonly domain: string };
  readonly settings: {
    readonly scope: readonly string[];
    readonly accessTokenSeconds: number;
    readonly language: string;
  };
  readonly suspension: SuspensionReason | null;
  readonly stats: Stats;
  readonly faults: Faults;
}

/** One installation of the application at one portal; another install makes another. */
export class Installation {
  applicationToken = newToken();
  version = 1;
  isInstalled = true;

  constructor(
    readonly portal: InstalledPortal,
    readonly userId: number,
    /** Scheme and host under which the application reaches the simulator: `http://localhost:8080`. */
    public baseUrl: string,
    /** Without a page: it is told of its installation by a call to its install address, and of an update so again. */
    readonly isApiOnly: boolean,
    /** Not before a page with an installation wizard has said so (settings/app-installation/installation-finish.md). */
    public isFinished = isApiOnly,
  ) {}

  get scope(): readonly string[] {
    return this.portal.settings.scope;
  }

  get accessTokenSeconds(): number {
    return this.portal.settings.accessTokenSeconds;
  }
}

/** `client_endpoint`: every REST call of the application begins with it. */
export function clientEndpoint(baseUrl: string, portalName: string): string {
  return `${baseUrl}/portals/${portalName}/rest/`;
}

/** `server_endpoint`: the OAuth server's own REST address. */
export function serverEndpoint(baseUrl: string): string {
  return `${baseUrl}/rest/`;
}

/** `app.info` (api-reference/common/system/app-info.md) */
export function showApplication(installation: Installation, clientId: string) {
  return {
    ID: 1,
    CODE: clientId,
    VERSION: installation.version,
    STATUS: 'L',
    INSTALLED: installation.isInstalled && installation.isFinished,
    PAYMENT_EXPIRED: installation.portal.suspension === 'payment' ? 'Y' : 'N',
    DAYS: null,
    LANGUAGE_ID: installation.portal.settings.language,
    LICENSE: 'en_ent250',
    LICENSE_TYPE: 'ent250',
    LICENSE_FAMILY: 'ent',
  };
}

/** Of any kind: an access token, a refresh token, an application token, a webhook's secret. */
export function newToken(): string {
  return randomBytes(16).toString('hex');
}
