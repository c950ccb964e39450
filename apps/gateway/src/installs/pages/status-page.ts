import type { KnownPortal } from '@relay/portals';
import { html, type Markup, page, type Page } from './html.js';

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
export function statusPage({ domain, state }: KnownPortal, consumers: readonly ConsumerEvents[]): Page {
  const content = html`<p>${STATUS_TEXTS[state]}</p>
    <table>
      <tr>
        <th scope="row">Portal</th>
        <td>${domain}</td>
      </tr>
      ${consumers.map(row)}
    </table>`;
  return page({ title: TITLE, content });
}

function row({ consumer, wanted, bound }: ConsumerEvents): Markup {
  return html`<tr>
    <th scope="row">${consumer}</th>
    <td>${bound} of ${wanted} events bound</td>
  </tr> `;
}

/** For a portal whose version does not send the data that authenticate the page. */
export function anonymousPage(): Page {
  const content = html`<p>This application works in the background: there is nothing to do here.</p>`;
  return page({ title: TITLE, content });
}
