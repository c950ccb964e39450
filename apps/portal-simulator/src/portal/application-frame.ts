import { randomBytes } from 'node:crypto';
import { serverEndpoint, type Installation } from '../oauth/installation.js';
import type { TokenPair, Tokens } from '../oauth/tokens.js';
import type { Value, Values } from '../protocol/php.js';
import type { Portal } from './portal.js';

export interface PageOpening {
  /** `DEFAULT` is the application's own page. */
  placement: string;
  /** The context of the placement; for widgets only. */
  options?: Values | undefined;
  /** The user's language; the portal's if absent. */
  language?: string | undefined;
  /** The address at which the user looks at the portal; by default the portal's domain. */
  origin?: URL | undefined;
}

/**
 * The request to the application's page or installation wizard when a user opens it (settings/oauth/simple-way.md): a
 * part in the query, the rest in the body.
 */
export function pageRequest(
  address: string,
  installation: Installation,
  { access, refreshToken }: TokenPair,
  { placement, options, language, origin }: PageOpening,
): { url: string; form: Values; appSid: string } {
  const { portal, baseUrl, applicationToken, accessTokenSeconds } = installation;
  const appSid = randomBytes(16).toString('hex');
  const url = new URL(address);
  url.searchParams.set('DOMAIN', origin?.host ?? portal.identity.domain);
  url.searchParams.set('PROTOCOL', protocolOf(origin?.href ?? baseUrl));
  url.searchParams.set('LANG', language ?? portal.settings.language);
  url.searchParams.set('APP_SID', appSid);
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
  return { url: url.href, form, appSid };
}

function protocolOf(url: string): '0' | '1' {
  return url.startsWith('https:') ? '1' : '0';
}

/** What the portal's page has to post into a frame, and to answer to its messages. */
interface FrameOpening {
  url: string;
  form: Values;
  /** `window.name` of the frame: `DOMAIN|PROTOCOL|APP_SID`. */
  frameName: string;
  appSid: string;
  /** The answer to `getInitData`. */
  initData: Values;
}

/**
 * The portal's part of an application frame: what is posted into it, and what its page asks of the portal's server. The
 * messages are those of the published `rest` module (BX.rest.AppLayout), which BX24 and b24jssdk send.
 */
export class ApplicationFrame {
  /** @param inBrowser the address by which a browser reaches what the application's address is */
  constructor(
    private readonly tokens: Tokens,
    private readonly now: () => number,
    private readonly inBrowser: (address: string) => string,
  ) {}

  /** Opens the installation wizard until the installation is finished, then the application's page. */
  open(
    portal: Portal,
    installation: Installation,
    pages: NonNullable<Installation['pages']>,
    userId: number,
    opening: PageOpening & { origin: URL },
  ): FrameOpening {
    const { isFinished } = installation;
    const pair = this.tokens.issue(installation, userId, this.now());
    const address = this.inBrowser(isFinished ? pages.application : pages.installation);
    const { url, form, appSid } = pageRequest(address, installation, pair, opening);
    const { host, href } = opening.origin;
    const isAdministrator = portal.crm.rights.isAdministrator(userId);
    const initData = {
      LANG: opening.language ?? portal.settings.language,
      DOMAIN: host,
      PROTOCOL: protocolOf(href),
      PATH: '/rest',
      ...authOf(pair),
      MEMBER_ID: portal.identity.memberId,
      FIRST_RUN: !installation.startedBy.has(userId),
      IS_ADMIN: isAdministrator,
      INSTALL: !isFinished,
      USER_OPTIONS: phpArray(installation.userOptions.get(userId)),
      APP_OPTIONS: phpArray(installation.options),
      PLACEMENT: opening.placement,
      PLACEMENT_OPTIONS: phpArray(opening.options),
    };
    return { url, form, appSid, frameName: `${host}|${protocolOf(href)}|${appSid}`, initData };
  }

  /** The answer to `refreshAuth`: a new pair of the frame's user. */
  refreshAuth(installation: Installation, userId: number): Values {
    return authOf(this.tokens.issue(installation, userId, this.now()));
  }
}

/** Keeps an option of the user. @returns all options of the user */
export function setUserOption(
  { userOptions }: Installation,
  userId: number,
  name: string,
  value: Value,
): Values {
  const options = { ...userOptions.get(userId), [name]: value };
  userOptions.set(userId, options);
  return options;
}

function authOf({ access, refreshToken }: TokenPair): Values {
  return {
    AUTH_ID: access.token,
    AUTH_EXPIRES: access.installation.accessTokenSeconds,
    REFRESH_ID: refreshToken,
  };
}

/** As PHP writes an array: one without keys is a list. */
function phpArray(options: Values = {}): Value {
  return Object.keys(options).length === 0 ? [] : options;
}
