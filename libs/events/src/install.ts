import { EventError, type EventField } from './event-error.js';
import { formatEventName } from './event-name.js';
import { type EventCredentials, type EventEnvelope, readCredentials, readMemberId } from './event.js';
import { emptyTree, type FormTree, hostAt, textAt, treeAt } from './form-tree.js';

/** The claim of an install. Nothing of it is trusted until the OAuth server has confirmed it with the refresh token. */
export interface InstallClaim {
  memberId: string;
  domain: string;
  /** The token in the portal's events; absent only in a page of an older portal. */
  applicationToken?: string;
  accessToken: string;
  refreshToken: string;
  /** The portal's language, such as `tr`; absent in the install callback. */
  language?: string;
  /**
   * The OAuth server that the tokens name, `host[:port]`: it selects one of the trusted servers and is never called
   * itself.
   */
  oauthHost?: string;
}

/** Printable ASCII; the longest in the docs has 71 characters. Claims are stored, so their size is bounded. */
const TOKEN = /^[!-~]{1,2048}$/;

/** Same maximum as for events: with a longer token none of the portal's events could be authenticated. */
const APPLICATION_TOKEN = /^[!-~]{1,255}$/;

/** `host[:port]`; an on-premise host may use any alphabet. */
const DOMAIN = /^[\p{L}\p{M}\p{N}.:_-]{1,255}$/u;

/**
 * Bitrix24's two letters (api-reference/crm/data-types.md, language identifiers), or an identifier of an on-premise
 * portal.
 */
const LANGUAGE = /^[a-z]{2,3}(?:[-_][a-z\d]{2,8}){0,3}$/i;

/** An update has the same credentials as an install, possibly with a new application token. */
const INSTALL_EVENTS = ['ONAPPINSTALL', 'ONAPPUPDATE'];

/**
 * Parses ONAPPINSTALL (api-reference/common/events/on-app-install.md), ONAPPUPDATE (on-app-update.md there) or the
 * install callback of an application without a page, which consists of `auth[...]` only
 * (settings/app-installation/local-apps/installation-callback.md). Throws EventError.
 */
export function parseInstall(form: FormTree): InstallClaim {
  if (form.event !== undefined) requireInstallEvent(textAt(form, 'event') ?? '');
  const auth = treeAt(form, 'auth') ?? emptyTree();
  return claimOf(readMemberId(auth), readCredentials(auth), form);
}

/** The claim of an install event whose envelope has been parsed. Throws EventError. */
export function installOf(envelope: EventEnvelope, form: FormTree): InstallClaim {
  const { memberId, name, suffixTypeId, credentials } = envelope;
  requireInstallEvent(formatEventName(name, suffixTypeId));
  return claimOf(memberId, credentials, form);
}

function requireInstallEvent(name: string): void {
  if (!INSTALL_EVENTS.includes(name.toUpperCase())) throw new EventError('not-an-install', 'event');
}

function claimOf(memberId: string, credentials: EventCredentials, form: FormTree): InstallClaim {
  const { domain, applicationToken, accessToken, refreshToken, oauthHost } = credentials;
  return {
    memberId,
    domain: matching(DOMAIN, domain, 'auth[domain]'),
    applicationToken: matching(APPLICATION_TOKEN, applicationToken, 'auth[application_token]'),
    accessToken: matching(TOKEN, accessToken, 'auth[access_token]'),
    refreshToken: matching(TOKEN, refreshToken, 'auth[refresh_token]'),
    language: readLanguage(form),
    oauthHost,
  };
}

/**
 * Whether the form is ONAPPUSERREADY, which Bitrix24 sends to the install address without a subscription: an ordinary
 * event, not an install. Its `data` holds the tokens of a user without administrator rights, `auth` those of the user
 * who installed the application (api-reference/common/events/on-app-user-ready.md).
 */
export function isUserReady(form: FormTree): boolean {
  return textAt(form, 'event')?.toUpperCase() === 'ONAPPUSERREADY';
}

/** An invalid language does not invalidate an install. */
function readLanguage(form: FormTree): string | undefined {
  const language = textAt(treeAt(form, 'data') ?? emptyTree(), 'LANGUAGE_ID');
  return language !== undefined && LANGUAGE.test(language) ? language : undefined;
}

/**
 * Whether the form is the POST to a page of the application: its token fields are in upper case, and it has no `auth`.
 */
export function isPage(form: FormTree): boolean {
  const isEvent = form.event !== undefined || form.auth !== undefined;
  return !isEvent && (form.AUTH_ID !== undefined || form.REFRESH_ID !== undefined);
}

/**
 * Parses the POST to the install page and, each time a user opens the application, to its page
 * (settings/oauth/simple-way.md). The token pair is that user's and comes from their browser. `LANG` is the user's
 * language, not the portal's, so it is not read. Throws EventError.
 *
 * @param query of the page's URL: it contains the portal's host
 */
export function parsePage(form: FormTree, query: FormTree): InstallClaim {
  const applicationToken = textAt(form, 'APPLICATION_TOKEN');
  return {
    memberId: readMemberId(form, 'member_id'),
    domain: matching(DOMAIN, textAt(query, 'DOMAIN'), 'DOMAIN'),
    ...(applicationToken !== undefined && {
      applicationToken: matching(APPLICATION_TOKEN, applicationToken, 'APPLICATION_TOKEN'),
    }),
    accessToken: matching(TOKEN, textAt(form, 'AUTH_ID'), 'AUTH_ID'),
    refreshToken: matching(TOKEN, textAt(form, 'REFRESH_ID'), 'REFRESH_ID'),
    oauthHost: hostAt(form, 'SERVER_ENDPOINT'),
  };
}

/** Who shows a page of the application in a frame, as the query of the page's address says: not proved. */
export interface PageFrame {
  /** Of the user who opens it; undefined if it is none. */
  language: string | undefined;
  /** `https://<host>` of the portal; undefined if it is none. */
  origin: string | undefined;
}

export function parseFrame(query: FormTree): PageFrame {
  const language = textAt(query, 'LANG');
  const domain = textAt(query, 'DOMAIN') ?? '';
  const address = `${textAt(query, 'PROTOCOL') === '0' ? 'http' : 'https'}://${domain}`;
  return {
    language: language !== undefined && LANGUAGE.test(language) ? language : undefined,
    // An on-premise host may use any alphabet; `URL` makes ASCII of it, as headers need it.
    origin: DOMAIN.test(domain) && URL.canParse(address) ? new URL(address).origin : undefined,
  };
}

/** Throws EventError. */
function matching(pattern: RegExp, text: string | undefined, field: EventField): string {
  if (text === undefined || text === '') throw new EventError('missing-field', field);
  if (!pattern.test(text)) throw new EventError('malformed-field', field);
  return text;
}
