/** The journals: events on the disks of the gateways, because the bus was down. */
import { element, find, KeyedList, Section, setText } from './dom.mjs';
import { journalsLines } from '/ops/page/texts.mjs';

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

/** @param {{ gateways: import('@relay/admin-contract').ReportedJournal[] }} seen */
function show({ gateways }) {
  list.show(journalsLines(gateways).map((line, index) => ({ key: String(index), ...line })));
}

export const journal = { path: '/journal', section, show };
