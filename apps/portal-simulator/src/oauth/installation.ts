import { randomBytes } from 'node:crypto';
import type { Faults } from '../faults/faults.js';
import type { SuspensionReason } from '../faults/suspension.js';
import type { Stats } from '../limits/stats.js';
import type { Values } from '../protocol/php.js';

/** The application's keys, the same for every portal: `B24_CLIENT_ID` and `B24_CLIENT_SECRET`. */
export interface ApplicationKeys {
  clientId: string;
  clientSecret: string;
}

/** The part of a portal that an installation uses. */
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

/** One installation of the application at one portal; a reinstall makes a new one. */
export class Installation {
  applicationToken = newToken();
  version = 1;
  isInstalled = true;
  /** Addresses of its pages; undefined if it was installed without one. */
  pages: { installation: string; application: string } | undefined;
  /** `app.option.*` of the application. */
  options: Values = {};
  /** `user.option.*` by user. */
  readonly userOptions = new Map<number, Values>();
  /** Users for whom it has started once. */
  readonly startedBy = new Set<number>();

  constructor(
    readonly portal: InstalledPortal,
    readonly userId: number,
    /** The base URL by which the application reaches the simulator: `http://localhost:8080`. */
    public baseUrl: string,
    /** An application without a page: its install address gets a request on install and on update. */
    readonly isApiOnly: boolean,
    /**
     * False until an installation wizard calls BX24.installFinish() (settings/app-installation/installation-finish.md).
     */
    public isFinished = isApiOnly,
  ) {}

  get scope(): readonly string[] {
    return this.portal.settings.scope;
  }

  get accessTokenSeconds(): number {
    return this.portal.settings.accessTokenSeconds;
  }
}

/** `client_endpoint`: the base URL of the application's REST calls. */
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

/** For access tokens, refresh tokens, application tokens and webhook secrets. */
export function newToken(): string {
  return randomBytes(16).toString('hex');
}
