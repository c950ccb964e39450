import { html, page, type Page } from './html.js';

/**
 * Bitrix24 considers the application installed, and sends events, when its first page says so
 * (settings/app-installation/installation-finish.md); it then loads the application's own page instead of this one.
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
 * Only for a confirmed and stored install: it ends the installation.
 * @param needsAdministrator whether the user is not an administrator, so that the application token is not trusted
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
