/** Assembles the page: sign-in, and what is polled while it is visible. */
import { ApiError, callApi, forgetToken, isSignedIn, keepToken, Poll } from './api.mjs';
import { consumers } from './consumers.mjs';
import { find, setText } from './dom.mjs';
import { journal } from './journal.mjs';
import { mirror } from './mirror.mjs';
import { portals } from './portals.mjs';

const REFUSED_KEY = 'refused';

const form = find('#sign-in', HTMLFormElement);
const field = find('#token', HTMLInputElement);
const failure = find('#sign-in-failure', HTMLElement);
const connection = find('#connection', HTMLElement);
const signOutButton = find('#sign-out', HTMLButtonElement);

/** Of those parts that the control plane did not answer for. @type {Set<string>} */
const away = new Set();
const polls = [pollOf(mirror), pollOf(consumers), pollOf(journal), pollOf(portals)];
portals.onRequested(() => polls[0]?.now());

form.addEventListener('submit', (event) => {
  event.preventDefault();
  void signIn(field.value.trim());
});
signOutButton.addEventListener('click', () => signOut());
document.addEventListener('visibilitychange', followIfSeen);
addEventListener('online', () => {
  for (const poll of polls) poll.now();
});

if (isSignedIn()) {
  open();
} else {
  form.hidden = false;
  setText(failure, sessionStorage.getItem(REFUSED_KEY) ?? '');
  sessionStorage.removeItem(REFUSED_KEY);
  field.focus();
}

/** @param {string} token */
async function signIn(token) {
  setText(failure, '');
  try {
    // A request that needs neither database nor broker: an operator may sign in because one of them is down.
    await callApi('/journal', { token });
  } catch (error) {
    if (!(error instanceof ApiError) || error.kind !== 'failed') {
      setText(failure, error instanceof Error ? error.message : 'It did not work.');
      field.select();
      return;
    }
  }
  keepToken(token);
  field.value = '';
  form.hidden = true;
  open();
}

function open() {
  find('#signed-in', HTMLElement).hidden = false;
  connection.hidden = false;
  signOutButton.hidden = false;
  followIfSeen();
}

/** After a reload the page has no data. @param {string} why */
function signOut(why = '') {
  for (const poll of polls) poll.stop();
  forgetToken();
  if (why !== '') sessionStorage.setItem(REFUSED_KEY, why);
  location.reload();
}

function followIfSeen() {
  if (!isSignedIn()) return;
  for (const poll of polls) {
    if (document.hidden) poll.stop();
    else poll.start();
  }
}

/**
 * @param {{ path: string, section: import('./dom.mjs').Section, show: (seen: any) => void }} part
 */
function pollOf({ path, section, show }) {
  return new Poll(path, {
    answered: (answer) => {
      show(answer);
      section.markFresh();
      away.delete(path);
      showConnection();
    },
    failed: (error) => {
      if (error instanceof ApiError && error.kind === 'refused') return signOut(error.message);
      const isAway = error instanceof ApiError && error.kind === 'away';
      if (isAway) away.add(path);
      section.markStale(isAway ? '' : error instanceof Error ? error.message : 'It cannot be read.');
      showConnection();
    },
  });
}

function showConnection() {
  connection.dataset['state'] = away.size === 0 ? 'live' : 'away';
  setText(connection, away.size === 0 ? 'live' : 'the control plane does not answer');
}
