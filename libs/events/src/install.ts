import { EventError, type EventField } from './event-error.js';
import { readMemberId, required } from './event.js';
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
export const TOKEN = /^[!-~]{1,2048}$/;

/** As long as those of events may be, or none of the portal's events could be believed. */
export const APPLICATION_TOKEN = /^[!-~]{1,255}$/;

/** A host with or without a port; an on-premise one may be written in its own alphabet. */
export const DOMAIN = /^[\p{L}\p{M}\p{N}.:_-]{1,255}$/u;

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
  const isCallback = form.event === undefined;
  if (!isCallback && !INSTALL_EVENTS.includes(textAt(form, 'event')?.toUpperCase() ?? '')) {
    throw new EventError('not-an-install', 'event');
  }
  const auth = treeAt(form, 'auth') ?? emptyTree();
  return {
    memberId: readMemberId(auth),
    domain: matching(DOMAIN, auth, 'domain', 'auth[domain]'),
    applicationToken: matching(APPLICATION_TOKEN, auth, 'application_token', 'auth[application_token]'),
    accessToken: matching(TOKEN, auth, 'access_token', 'auth[access_token]'),
    refreshToken: matching(TOKEN, auth, 'refresh_token', 'auth[refresh_token]'),
    language: readLanguage(form),
    oauthHost: hostAt(auth, 'server_endpoint'),
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

/** Throws EventError. */
export function matching(pattern: RegExp, tree: FormTree, key: string, field: EventField): string {
  const text = required(tree, key, field);
  if (!pattern.test(text)) throw new EventError('malformed-field', field);
  return text;
}
