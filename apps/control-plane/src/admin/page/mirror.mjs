/** The jobs of the mirror: what runs at which portal, its progress, and what ended last. */
import { element, find, KeyedList, setText } from './dom.mjs';
import { Section } from './section.mjs';
import { grouped, progressOf, taskText, taskTrouble, waitingReason, workName } from './format.mjs';

/** @typedef {import('./format.mjs').SeenTask & { waitsFor: string }} ShownTask */

const section = new Section('#mirror');
/** @type {KeyedList<ShownTask>} */
const list = new KeyedList(find('#mirror .tasks', HTMLElement), ({ id }) => id, makeTask);

/** @param {import('../page-routes.js').SeenSync} seen */
function show({ tasks, running, waiting }) {
  const shown = tasks.filter(({ state }) => state === 'running' || state === 'waiting').length;
  const part = shown < running + waiting ? `, the first ${shown} are shown` : '';
  section.count(`${grouped(running)} running, ${grouped(waiting)} waiting${part}`);
  section.nothing(tasks.length === 0);
  list.show(tasks.map((task) => ({ ...task, waitsFor: waitingReason(task, tasks) })));
}

export const mirror = { path: '/sync', section, show };

/** @param {ShownTask} first */
function makeTask(first) {
  const portal = element('b', { class: 'portal' });
  const state = element('span', { class: 'state' });
  const bar = element('progress', { max: '1' });
  const percent = element('span', { class: 'percent' });
  const text = element('p', { class: 'said' });
  const trouble = element('p', { class: 'failure' });
  const typesTitle = element('summary');
  const types = element('ul');
  const details = element('details', {}, typesTitle, types);
  // Running jobs show details; ended ones are one line until opened.
  details.open = first.state === 'running' || first.state === 'waiting';
  /** @type {KeyedList<ReturnType<typeof progressOf>['types'][number]>} */
  const typeList = new KeyedList(types, ({ entityTypeId }) => entityTypeId, makeType);
  const work = element('span', { class: 'work' });
  const made = element(
    'li',
    { class: 'task' },
    element('div', { class: 'task-head' }, element('div', {}, portal, ' ', work), state),
    element('div', { class: 'far' }, bar, percent),
    text,
    trouble,
    details,
  );

  /** @param {ShownTask} task */
  const showTask = (task) => {
    const { part, types: all } = progressOf(task);
    made.dataset['state'] = task.state;
    setText(portal, task.domain);
    setText(work, workName(task.kind));
    setText(state, task.isSilent ? 'silent' : task.state);
    state.dataset['state'] = task.isSilent || task.state === 'failed' ? 'bad' : task.state;
    bar.setAttribute('aria-label', `${workName(task.kind)} of ${task.domain}`);
    if (part === undefined) bar.removeAttribute('value');
    else bar.value = part;
    setText(percent, part === undefined ? '' : `${Math.floor(part * 100)} %`);
    setText(text, [taskText(task), task.waitsFor].filter(Boolean).join(' · '));
    setText(trouble, taskTrouble(task));
    details.hidden = all.length === 0;
    setText(typesTitle, all.length === 1 ? '1 smart process' : `${grouped(all.length)} smart processes`);
    typeList.show(all);
  };
  return { element: made, show: showTask };
}

function makeType() {
  const [title, id, count] = [
    element('span', { dir: 'auto' }),
    element('span', { class: 'id' }),
    element('span', { class: 'number' }),
  ];
  /** @param {ReturnType<typeof progressOf>['types'][number]} type */
  const showType = ({ entityTypeId, title: name, items, isDone }) => {
    setText(title, name);
    setText(id, entityTypeId);
    setText(count, `${grouped(items)}${isDone ? '' : ', not yet all'}`);
  };
  return { element: element('li', {}, title, id, count), show: showType };
}
