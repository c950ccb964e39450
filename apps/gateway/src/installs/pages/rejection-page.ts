import { html, page, type Page } from './html.js';

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
