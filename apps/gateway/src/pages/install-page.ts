import { html, page, type Page } from './html.js';

/**
 * Bitrix24 takes the application for installed, and sends events, when the page that it shows first says so
 * (settings/app-installation/installation-finish.md); it then loads the application's own page in place of this one.
 */
const SCRIPT = `
  (function () {
    var said = document.getElementById('said');
    if (typeof BX24 === 'undefined') {
      said.textContent = 'The library of Bitrix24 could not be loaded. Open the application again.';
      return;
    }
    BX24.init(function () {
      BX24.installFinish();
      said.textContent = 'Bitrix24 has been told that the installation is finished.';
    });
  })();
`;

/**
 * Only for an install that is confirmed and stored: it ends the installation.
 * @param needsAdministrator whether the user is none, whose application token is not believed
 */
export function installPage({ needsAdministrator = false } = {}): Page {
  const connected = needsAdministrator
    ? 'This portal is known. Its events are believed as soon as an administrator of the portal has opened the application once.'
    : 'This portal is connected.';
  const content = html`<p>${connected}</p>
    <p id="said" role="status">Bitrix24 is being told that the installation is finished.</p>
    <p>If this page stays, open the application again.</p>`;
  return page({ title: 'b24-relay is installed', content }, SCRIPT);
}
