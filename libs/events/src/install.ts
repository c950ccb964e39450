import { EventError, type EventField } from './event-error.js';
import { formatEventName } from './event-name.js';
import { type EventCredentials, type EventEnvelope, readCredentials, readMemberId } from './event.js';
import { emptyTree, type FormTree, hostAt, textAt, treeAt } from './form-tree.js';

/** What an install says about itself. Nothing of it is true until the OAuth server has confirmed it by the refresh token. */
export interface InstallClaim {
  memberId: string;
  domain: string;
  /** What the portal's events will bring; only a page of an older portal comes without. */
  applicationToken?: string;
  accessToken: string;
  refreshToken: string;
  /** The portal's language, such as `tr`; the install callback names none. */
  language?: string;
  /** Which OAuth server the tokens say they belong to, `host[:port]`: a choice among those that are believed, no address. */
  oauthHost?: string;
}

/** Printable ASCII; the longest in the docs has 71 characters. Claims are kept for a while, so they must not be large. */
const TOKEN = /^[!-~]{1,2048}$/;

/** As long as those of events may be, or none of the portal's events could be believed. */
const APPLICATION_TOKEN = /^[!-~]{1,255}$/;

/** A host with or without a port; an on-premise one may be written in its own alphabet. */
const DOMAIN = /^[\p{L}\p{M}\p{N}.:_-]{1,255}$/u;

/** Bitrix24's own two letters (api-reference/crm/data-types.md, language identifiers), or what an on-premise portal made up. */
const LANGUAGE = /^[a-z]{2,3}(?:[-_][a-z\d]{2,8}){0,3}$/i;

/** An update brings the same credentials as an install, among them, possibly, a new application token. */
const INSTALL_EVENTS = ['ONAPPINSTALL', 'ONAPPUPDATE'];

/**
 * Reads ONAPPINSTALL (api-reference/common/events/on-app-install.md), ONAPPUPDATE (on-app-update.md there) or the install
 * callback of an application without a page, which is an `auth[...]` alone
 * (settings/app-installation/local-apps/installation-callback.md). Throws EventError.
 */
export function parseInstall(form: FormTree): InstallClaim {
  if (form.event !== undefined) requireInstallEvent(textAt(form, 'event') ?? '');
  const auth = treeAt(form, 'auth') ?? emptyTree();
  return claimOf(readMemberId(auth), readCredentials(auth), form);
}

/** The claim of an install event whose envelope has been read. Throws EventError. */
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
 * Whether it is ONAPPUSERREADY, which comes unasked to the install address: an event like any other, and no install. Its
 * `data` holds the tokens of a user who is no administrator, `auth` those of whoever installed
 * (api-reference/common/events/on-app-user-ready.md).
 */
export function isUserReady(form: FormTree): boolean {
  return textAt(form, 'event')?.toUpperCase() === 'ONAPPUSERREADY';
}

/** A language that is none is no reason to refuse an install. */
function readLanguage(form: FormTree): string | undefined {
  const language = textAt(treeAt(form, 'data') ?? emptyTree(), 'LANGUAGE_ID');
  return language !== undefined && LANGUAGE.test(language) ? language : undefined;
}

/** Whether the form is what a page of the application gets: it names the tokens in capitals, and has no `auth`. */
export function isPage(form: FormTree): boolean {
  const isEvent = form.event !== undefined || form.auth !== undefined;
  return !isEvent && (form.AUTH_ID !== undefined || form.REFRESH_ID !== undefined);
}

/**
 * Reads what Bitrix24 posts to the install page and, each time that a user opens the application, to its page
 * (settings/oauth/simple-way.md). The pair is that user's, and came by way of their browser. `LANG` is the user's language,
 * not the portal's: it is not read. Throws EventError.
 *
 * @param query of the page's address: the portal's host stands there
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

/** Throws EventError. */
function matching(pattern: RegExp, text: string | undefined, field: EventField): string {
  if (text === undefined || text === '') throw new EventError('missing-field', field);
  if (!pattern.test(text)) throw new EventError('malformed-field', field);
  return text;
}
