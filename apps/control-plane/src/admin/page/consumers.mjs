/** Every consumer: waiting, held, retrying and dead events; its processes. */
import { element, find, KeyedList, Section, setText } from './dom.mjs';
import { age, consumerNote, grouped, plural } from '/ops/page/texts.mjs';

/** @typedef {import('@relay/admin-contract').ListedConsumer} ListedConsumer */

/** @type {Record<string, (consumer: ListedConsumer) => string>} */
const COLUMNS = {
  Consumer: ({ consumer }) => consumer,
  Waiting: ({ waiting }) => grouped(waiting),
  'In hand': ({ inHand }) => grouped(inHand),
  Retrying: ({ retrying }) => grouped(retrying),
  Dead: ({ dead }) => grouped(dead),
  Oldest: ({ oldestAt }) => (oldestAt === null ? '–' : age(oldestAt)),
  Processes: ({ processes }) => grouped(processes.length),
};

const section = new Section('#consumers');
const table = find('#consumers table', HTMLTableElement);
const list = new KeyedList(find('#consumers tbody', HTMLElement), ({ consumer }) => consumer, makeRow);

/** @param {{ consumers: ListedConsumer[] }} seen */
function show({ consumers }) {
  const dead = consumers.reduce((sum, one) => sum + one.dead, 0);
  section.count(dead > 0 ? plural(dead, 'dead letter') : '');
  section.nothing(consumers.length === 0);
  table.hidden = consumers.length === 0;
  list.show(consumers);
}

export const consumers = { path: '/consumers', section, show };

/** @returns {{ element: Element, show: (consumer: ListedConsumer) => void }} */
function makeRow() {
  const cells = Object.entries(COLUMNS).map(([label, textOf]) => {
    const value = element('span');
    const tag = label === 'Consumer' ? 'th' : 'td';
    const role = label === 'Consumer' ? 'rowheader' : 'cell';
    return { value, textOf, cell: element(tag, { role, 'data-label': label }, value) };
  });
  const note = element('p', { class: 'note' });
  cells[0]?.cell.append(note);
  return {
    element: element('tr', { role: 'row' }, ...cells.map(({ cell }) => cell)),
    show: (consumer) => {
      for (const { value, textOf } of cells) setText(value, textOf(consumer));
      cells[4]?.cell.toggleAttribute('data-bad', consumer.dead > 0);
      const said = consumerNote(consumer);
      setText(note, said?.text ?? '');
      note.toggleAttribute('data-bad', said?.isBad ?? false);
    },
  };
}
