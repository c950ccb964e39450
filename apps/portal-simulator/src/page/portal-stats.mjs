/** Counters of the portal: requests, events, answers. */
import { byId, element, setText } from './dom.mjs';

/** Counted under calls, but no REST methods: `batch`, which carries them, and the token endpoint. */
const NOT_REST_METHODS = new Set(['batch', 'oauth.token']);

/** @type {Map<string, { value: HTMLElement, detail: HTMLElement }>} */
const numbers = new Map();
const list = byId('numbers', HTMLDListElement);
for (const label of ['Requests used', 'Events sent', 'Answers']) {
  const [value, detail] = [element('dd', { class: 'number' }, '–'), element('dd', { class: 'small' })];
  list.append(element('div', {}, element('dt', {}, label), value, detail));
  numbers.set(label, { value, detail });
}

/** @param {import('./control-api.mjs').PageView} view */
export function showStats({ stats: { requests, refusals, calls, events }, limits }) {
  const carried = sum(
    Object.entries(calls).flatMap(([name, count]) => (NOT_REST_METHODS.has(name) ? [] : count)),
  );
  const refused = refusals > 0 ? `, ${format(refusals)} refused` : '';
  setNumber(
    'Requests used',
    format(requests),
    `carrying ${plural(carried, 'call')}${refused}; ${limits.rate} a second are allowed, ${limits.burst} at once`,
  );
  const names = Object.keys(events.names).length;
  setNumber(
    'Events sent',
    format(events.sent),
    `of ${plural(names, 'kind')}, ${format(events.pending)} waiting; each is sent once`,
  );
  const answers = Object.entries(events.answers);
  const byAnswer = answers.map(([answer, count]) => `${format(count)} × ${answer}`).join(', ');
  setNumber('Answers', format(sum(Object.values(events.answers))), byAnswer || 'none yet');
}

/** @param {string} label @param {string} number @param {string} text */
function setNumber(label, number, text) {
  const entry = numbers.get(label);
  if (!entry) return;
  setText(entry.value, number);
  setText(entry.detail, text);
}

/** @param {number[]} counts */
function sum(counts) {
  return counts.reduce((total, count) => total + count, 0);
}

/** @param {number} count @param {string} word */
function plural(count, word) {
  return `${format(count)} ${word}${count === 1 ? '' : 's'}`;
}

/** @param {number} count */
function format(count) {
  return count.toLocaleString('en');
}
