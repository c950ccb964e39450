/** Every portal with its state, and the two jobs that can be started. */
import { callApi } from './api.mjs';
import { announce, element, find, KeyedList, Section, setText, titled } from './dom.mjs';
import { grouped, jobName, portalNote } from '/ops/page/texts.mjs';

/** @typedef {import('@relay/admin-contract').ListedPortal} ListedPortal */

/** Thousands of rows would make the page slow; the filter finds the others. */
const MAX_SHOWN = 200;
/** A second click within this time confirms. */
const CONFIRM_TIMEOUT_MS = 4_000;

const section = new Section('#portals');
const filter = find('#filter', HTMLInputElement);
const list = new KeyedList(find('#portals .portals', HTMLElement), ({ memberId }) => memberId, makePortal);
/** @type {ListedPortal[]} */
let all = [];
let whenRequested = () => {};

filter.addEventListener('input', showFiltered);

/** @param {{ portals: ListedPortal[] }} seen */
function show({ portals: seen }) {
  all = seen;
  showFiltered();
}

function showFiltered() {
  const wanted = filter.value.trim().toLowerCase();
  const found = all.filter(({ domain, memberId, state }) =>
    [domain, memberId, state].some((text) => text.toLowerCase().includes(wanted)),
  );
  const shown = found.slice(0, MAX_SHOWN);
  const counted = wanted === '' ? grouped(all.length) : `${grouped(found.length)} of ${grouped(all.length)}`;
  section.count(shown.length < found.length ? `${counted}, the first ${MAX_SHOWN} are shown` : counted);
  section.nothing(
    shown.length === 0,
    all.length === 0
      ? 'No portal is installed yet.'
      : 'No portal has that in its domain, member_id or state.',
  );
  list.show(shown);
}

export const portals = {
  path: '/portals',
  section,
  show,
  /** @param {() => void} listener called when a job was requested */
  onRequested: (listener) => {
    whenRequested = listener;
  },
};

/** @param {ListedPortal} portal @returns {{ element: Element, show: (portal: ListedPortal) => void }} */
function makePortal({ memberId }) {
  const domain = element('b', { class: 'portal' });
  const state = element('span', { class: 'state' });
  const note = element('p', { class: 'note' });
  const works = ['backfill', 'reconcile'].map((kind) => workButton(memberId, kind));
  return {
    element: element(
      'li',
      {},
      element('div', { class: 'who' }, domain, element('code', {}, memberId), note),
      state,
      element('div', { class: 'buttons' }, ...works.map(({ button }) => button)),
    ),
    show: (portal) => {
      setText(domain, portal.domain);
      setText(state, portal.state);
      state.dataset['state'] =
        portal.state === 'installed' || portal.state === 'uninstalled' ? portal.state : 'bad';
      setText(
        note,
        portalNote(portal, (iso) => new Date(iso).toLocaleTimeString()),
      );
      for (const { button, named } of works) {
        button.hidden = portal.state === 'uninstalled';
        named(portal.domain);
      }
    },
  };
}

/**
 * Its own text says what it does, asks for confirmation, and shows the result.
 *
 * @param {string} memberId @param {string} kind
 */
function workButton(memberId, kind) {
  const usual = kind === 'backfill' ? 'Backfill' : 'Reconcile';
  const text = element('span', {}, usual);
  // A screen reader could not distinguish two hundred buttons with one name.
  const where = element('span', { class: 'unseen' });
  const button = element('button', { type: 'button' }, text, ' ', where);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let isSure = false;

  /** @param {string} said @param {number} forMs */
  const say = (said, forMs) => {
    setText(text, said);
    clearTimeout(timer);
    timer = setTimeout(() => {
      isSure = false;
      setText(text, usual);
    }, forMs);
  };
  const request = async () => {
    button.disabled = true;
    try {
      await callApi(`/sync/${encodeURIComponent(memberId)}/${kind}`, { method: 'POST' });
      announce(`${titled(jobName(kind))} of ${where.textContent} is asked for.`);
      say('Asked for ✓', CONFIRM_TIMEOUT_MS);
      whenRequested();
    } catch (error) {
      const why = error instanceof Error ? error.message : 'it did not work';
      announce(`${titled(jobName(kind))} of ${where.textContent}: ${why}`);
      say(`Not asked for: ${why}`, 2 * CONFIRM_TIMEOUT_MS);
    } finally {
      button.disabled = false;
      isSure = false;
    }
  };
  button.addEventListener('click', () => {
    if (isSure) {
      void request();
      return;
    }
    isSure = true;
    say(`${usual} now?`, CONFIRM_TIMEOUT_MS);
    announce(`${usual} ${where.textContent} now? Press once more.`);
  });
  /** @param {string} domain */
  const named = (domain) => setText(where, domain);
  return { button, named };
}
