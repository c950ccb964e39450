/** A notice at the top while no application corrects names, with a form to install it. */
import { byId, element, setText } from './dom.mjs';

const notice = byId('notice', HTMLElement);
/** @type {string | undefined} */
let shownState;

/** @param {import('./control-api.mjs').PageView} view @param {(url: string) => Promise<{ status?: unknown }>} install */
export function showInstallNotice({ application, portal, installAt }, install) {
  const state = `${portal} ${application}`;
  if (state === shownState) return;
  shownState = state;
  notice.hidden = application === 'listening';
  if (application === 'listening') notice.replaceChildren();
  if (application === 'absent') notice.replaceChildren(...installForm(portal, installAt, install));
  if (application === 'installed') {
    notice.replaceChildren(
      element(
        'p',
        {},
        'b24-relay is installed here, but listens to no contacts yet: start the gateway and name-formatter.',
      ),
    );
  }
}

/**
 * @param {string} portal
 * @param {string} installAt
 * @param {(url: string) => Promise<{ status?: unknown }>} install
 */
function installForm(portal, installAt, install) {
  const url = element('input', {
    type: 'url',
    required: '',
    value: installAt,
    'aria-label': "The gateway's install address",
  });
  const button = element('button', { type: 'submit' }, 'Install');
  const outcome = element('p', { role: 'status' });
  const form = element('form', {}, url, button);
  const submit = async () => {
    button.disabled = true;
    try {
      const { status } = await install(url.value);
      setText(
        outcome,
        status === 200 ? '' : `${url.value} answered ${String(status)}: is the gateway running there?`,
      );
    } catch (error) {
      setText(outcome, error instanceof Error ? error.message : 'the simulator does not answer');
    } finally {
      button.disabled = false;
    }
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void submit();
  });
  return [
    element(
      'p',
      {},
      `b24-relay is not installed in ${portal}, so nobody corrects anything. Start the gateway, then install it here:`,
    ),
    form,
    outcome,
  ];
}
