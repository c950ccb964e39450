import { readMemberId } from './event.js';
import { type FormTree, hostAt, textAt } from './form-tree.js';
import { APPLICATION_TOKEN, DOMAIN, type InstallClaim, matching, TOKEN } from './install.js';

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
  const hasToken = textAt(form, 'APPLICATION_TOKEN') !== undefined;
  return {
    memberId: readMemberId(form, 'member_id'),
    domain: matching(DOMAIN, query, 'DOMAIN', 'DOMAIN'),
    ...(hasToken && {
      applicationToken: matching(APPLICATION_TOKEN, form, 'APPLICATION_TOKEN', 'APPLICATION_TOKEN'),
    }),
    accessToken: matching(TOKEN, form, 'AUTH_ID', 'AUTH_ID'),
    refreshToken: matching(TOKEN, form, 'REFRESH_ID', 'REFRESH_ID'),
    oauthHost: hostAt(form, 'SERVER_ENDPOINT'),
  };
}
