import type { KnownPortal } from '@relay/portals';
import type { FramedContent } from './framed-page.js';
import { html, type Markup, page, type Page } from './html.js';

/** What a page says, for `FramedPage`. */
type PageText = Pick<FramedContent, 'title' | 'content'>;

/**
 * Only for a confirmed and stored install: its script ends the installation. Bitrix24 considers the application installed, and
 * sends events, when its first page says so (settings/app-installation/installation-finish.md); it then loads the application's
 * own page instead of this one.
 * @param needsAdministrator whether the user is not an administrator, so that the application token is not trusted
 */
export function installText({ needsAdministrator = false } = {}): PageText {
  const connected = needsAdministrator
    ? 'This portal is known. Its events are believed as soon as an administrator of the portal has opened the application once.'
    : 'This portal is connected.';
  const content = html`<p>${connected}</p>
    <p>Bitrix24 is being told that the installation is finished. That needs JavaScript.</p>
    <p>If this page stays, open the application again.</p>`;
  return { title: 'b24-relay is installed', content };
}

/** Seconds: about the delay between the first retries of a stored install. */
const RETRY_AFTER_S = 30;

const AGAIN = 'Open the application again in a minute.';

/** What a person can do about a rejection. It contains nothing of the request. */
function advice(status: number, reason: string): string {
  if (reason === 'not-an-administrator') {
    return 'Whoever connects this portal must be one of its administrators: ask one to open the application.';
  }
  if (reason === 'endpoint-not-allowed') {
    return 'The address of this portal is private or not https. Whoever runs b24-relay has to name it in B24_ALLOW_HOSTS; then open the application again.';
  }
  if (reason === 'no-client-id' || reason === 'keys-refused') {
    return "b24-relay does not have this application's keys, or the application is no longer installed here. Whoever runs it has to set B24_CLIENT_ID and B24_CLIENT_SECRET as Bitrix24 shows them; then open the application again.";
  }
  if (status === 401) {
    return 'The authorization server of Bitrix24 did not confirm this portal. Close this page and open the application from the menu of Bitrix24; if it stays so, install it again.';
  }
  if (status === 503) return `It cannot be checked right now. ${AGAIN}`;
  return 'Open this page as an application in Bitrix24: it did not get what Bitrix24 sends with it.';
}

/** Runs no script, so the installation stays unfinished for Bitrix24. */
export function rejectionPage(status: number, reason: string): Page {
  const title = status === 503 ? 'b24-relay is not connected yet' : 'b24-relay is not connected';
  const content = html`<p>${advice(status, reason)}</p>
    <p>Reason: ${reason}</p>`;
  const headers: Record<string, string> = status === 503 ? { 'retry-after': String(RETRY_AFTER_S) } : {};
  return page({ title, content, status, headers });
}

/** Events that one consumer needs, and how many of them this portal sends. */
export interface ConsumerEvents {
  consumer: string;
  wanted: number;
  bound: number;
}

const TITLE = 'b24-relay';

const STATUS_TEXTS: Record<KnownPortal['state'], string> = {
  installed: 'Connected: events are received and worked on.',
  'needs-reauth': 'An administrator has to open the application once.',
  'needs-webhook': 'An administrator has to make another incoming webhook for b24-relay.',
  suspended: 'Events are received; this portal takes no calls at present, and is tried again by itself.',
  uninstalled: 'Not connected.',
};

/** For a verified user of the portal: it may name the portal, and only what the user can see anyway. */
export function statusText({ domain, state }: KnownPortal, consumers: readonly ConsumerEvents[]): PageText {
  const content = html`<p>${STATUS_TEXTS[state]}</p>
    <table>
      <tr>
        <th scope="row">Portal</th>
        <td>${domain}</td>
      </tr>
      ${consumers.map(row)}
    </table>`;
  return { title: TITLE, content };
}

function row({ consumer, wanted, bound }: ConsumerEvents): Markup {
  return html`<tr>
    <th scope="row">${consumer}</th>
    <td>${bound} of ${wanted} events bound</td>
  </tr> `;
}

/** For a portal whose version does not send the data that authenticate the page. */
export function anonymousText(): PageText {
  const content = html`<p>This application works in the background: there is nothing to do here.</p>`;
  return { title: TITLE, content };
}
