/** The jobs of the mirror: what runs at which portal, its progress, and what ended last. */
import { element, find, KeyedList, Section, setText, titled } from './dom.mjs';
import {
  grouped,
  jobName,
  jobText,
  jobTrouble,
  plural,
  progressOf,
  typeText,
  waitingReason,
} from '/ops/page/texts.mjs';

/** @typedef {import('@relay/admin-contract').ListedSyncJob & { waitsFor: string }} ShownJob */

const section = new Section('#mirror');
/** @type {KeyedList<ShownJob>} */
const list = new KeyedList(find('#mirror .tasks', HTMLElement), ({ id }) => id, makeJob);

/** @param {import('@relay/admin-contract').SyncResponse} seen */
function show({ tasks, running, waiting }) {
  const shown = tasks.filter(({ state }) => state === 'running' || state === 'waiting').length;
  const part = shown < running + waiting ? `, the first ${shown} are shown` : '';
  section.count(`${grouped(running)} running, ${grouped(waiting)} waiting${part}`);
  section.nothing(tasks.length === 0);
  list.show(tasks.map((job) => ({ ...job, waitsFor: waitingReason(job, tasks) })));
}

export const mirror = { path: '/sync', section, show };

/** @param {ShownJob} first */
function makeJob(first) {
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

  /** @param {ShownJob} job */
  const showJob = (job) => {
    const { part, types: all } = progressOf(job);
    made.dataset['state'] = job.state;
    setText(portal, job.domain);
    setText(work, titled(jobName(job.kind)));
    setText(state, job.isSilent ? 'silent' : job.state);
    state.dataset['state'] = job.isSilent || job.state === 'failed' ? 'bad' : job.state;
    bar.setAttribute('aria-label', `${titled(jobName(job.kind))} of ${job.domain}`);
    if (part === undefined) bar.removeAttribute('value');
    else bar.value = part;
    setText(percent, part === undefined ? '' : `${Math.floor(part * 100)} %`);
    setText(text, [jobText(job), job.waitsFor].filter(Boolean).join(' · '));
    setText(trouble, jobTrouble(job));
    details.hidden = all.length === 0;
    setText(typesTitle, plural(all.length, 'smart process'));
    typeList.show(all);
  };
  return { element: made, show: showJob };
}

function makeType() {
  const [title, id, count] = [
    element('span', { dir: 'auto' }),
    element('span', { class: 'id' }),
    element('span', { class: 'number' }),
  ];
  /** @param {ReturnType<typeof progressOf>['types'][number]} type */
  const showType = (type) => {
    setText(title, type.title);
    setText(id, type.entityTypeId);
    setText(count, typeText(type));
  };
  return { element: element('li', {}, title, id, count), show: showType };
}
