/** What waits on the gateways' own disks, because the bus was down. */
import { element, find, KeyedList, setText } from './dom.mjs';
import { Section } from './section.mjs';
import { journalsLines } from './format.mjs';

const section = new Section('#journal');
/** @type {KeyedList<{ key: string, text: string, isBad: boolean }>} */
const list = new KeyedList(
  find('#journal .lines', HTMLElement),
  ({ key }) => key,
  () => {
    const line = element('li');
    return {
      element: line,
      show: ({ text, isBad }) => {
        setText(line, text);
        line.toggleAttribute('data-bad', isBad);
      },
    };
  },
);

/** @param {{ gateways: import('./format.mjs').SeenJournal[] }} seen */
function show({ gateways }) {
  list.show(journalsLines(gateways).map((line, index) => ({ key: String(index), ...line })));
}

export const journal = { path: '/journal', section, show };
