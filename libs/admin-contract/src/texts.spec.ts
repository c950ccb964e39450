import { describe, expect, it } from '@jest/globals';
import { emptyJournal, workingConsumer } from '../../../test/support/admin-samples.js';
import type { ListedConsumer } from './consumers.js';
import type { ListedPortal } from './portals.js';
import type { ListedSyncJob } from './sync.js';
import {
  consumerNote,
  journalLines,
  journalsLines,
  jobText,
  jobTrouble,
  plural,
  portalNote,
  portalsKnownText,
  progressOf,
  waitingReason,
} from './texts.mjs';

const now = Date.parse('2026-11-25T12:00:00Z');

const running: ListedSyncJob = {
  id: 'one',
  consumer: 'smart-process-sync',
  memberId: 'm1',
  domain: 'acme.example',
  kind: 'backfill',
  state: 'running',
  isSilent: false,
  error: null,
  attempts: 0,
  isInteractive: false,
  lostLeases: 0,
  requestedAt: '2026-11-25T11:50:00Z',
  startedAt: '2026-11-25T11:50:00Z',
  endedAt: null,
  progress: {
    items: 12_000,
    itemsPerSecond: 1_500,
    part: 0.25,
    secondsLeft: 36,
    types: [{ entityTypeId: 147, title: 'Deliveries', items: 12_000, isDone: false }],
    found: { missing: 0, stale: 2 },
  },
};
const waiting: ListedSyncJob = { ...running, id: 'two', state: 'waiting', startedAt: null, progress: {} };
const ended: ListedSyncJob = { ...running, state: 'done', endedAt: '2026-11-25T11:57:00Z' };

it('counts in the plural', () => {
  expect([plural(1, 'item'), plural(2_000, 'item'), plural(2, 'smart process')]).toEqual([
    '1 item',
    '2,000 items',
    '2 smart processes',
  ]);
});

describe('a job', () => {
  it('of another version shows no part beyond the whole, and no title or time that is none', () => {
    const types = [{ entityTypeId: {}, title: {}, items: 'many' }];
    const progress = { items: 9, part: 5, types };
    expect(progressOf({ ...running, progress })).toMatchObject({
      part: 1,
      types: [{ entityTypeId: '?', title: '?', items: 0 }],
    });
    expect(progressOf({ ...running, progress: { part: -3 } }).part).toBe(0);
    expect(jobText({ ...ended, progress, endedAt: 'soon' }, now)).toBe(
      '9 items · in an unknown time · an unknown time ago',
    );
  });

  it.each<[string, ListedSyncJob, string]>([
    ['that runs', running, '12,000 items · 1,500 a second · 36 s left'],
    ['of which nobody can tell when it ends', { ...running, progress: { items: 1 } }, '1 item · 0 a second'],
    ['whose process is silent', { ...running, isSilent: true }, '12,000 items'],
    ['that waits', waiting, ''],
    ['that waits to go on', { ...waiting, progress: { items: 5 } }, '5 items'],
    ['that is done', ended, '12,000 items · in 7 min · 3 min ago'],
    ['that compared', { ...ended, kind: 'reconcile' }, '12,000 items · in 7 min · 3 min ago · 2 stale'],
    [
      'that found nothing',
      { ...ended, kind: 'reconcile', progress: { items: 9, found: { stale: 0 } } },
      '9 items · in 7 min · 3 min ago · no difference',
    ],
    [
      'that could not read all',
      { ...ended, progress: { items: 9, lost: [147], leftOut: { types: 0, fields: 2 } } },
      '9 items · in 7 min · 3 min ago · 1 smart process could not be read to the end · left out: 2 fields',
    ],
    [
      'that has found no difference so far',
      { ...running, kind: 'reconcile', progress: { items: 9 } },
      '9 items · 0 a second',
    ],
    ['of which nothing is known yet', { ...running, progress: {} }, 'has begun'],
  ])('%s', (_, task, text) => expect(jobText(task, now)).toBe(text));

  it('says how far it is only where that is known', () => {
    expect(progressOf(running).part).toBe(0.25);
    expect(progressOf({ ...running, progress: {} }).part).toBeUndefined();
    expect(progressOf(waiting).part).toBe(0);
    expect(progressOf({ ...ended, progress: {} }).part).toBe(1);
    expect(progressOf({ ...ended, state: 'failed', progress: {} }).part).toBe(0);
  });

  it('bears a progress that it does not know', () => {
    const odd = { items: 'many', types: [null, 7, { title: '<b>' }], found: 3, lost: 'x' };
    expect(progressOf({ ...running, progress: odd })).toMatchObject({
      items: 0,
      types: [{ title: '<b>', items: 0, isDone: false }],
      found: [],
      lost: 0,
    });
  });

  it('says why it has not begun', () => {
    expect(waitingReason(waiting, [waiting, running], 0)).toBe(
      'waits for the end of the backfill of this portal: 12,000 items · 1,500 a second · 36 s left',
    );
    expect(waitingReason(waiting, [waiting], 600_000)).toBe('is smart-process-sync running?');
    expect(waitingReason(waiting, [waiting], 5_000)).toBe('');
    expect(waitingReason(waiting, [{ ...running, memberId: 'm2' }], 600_000)).toBe('');
    expect(waitingReason(running, [running], 600_000)).toBe('');
  });

  it('says what is wrong with it', () => {
    expect(jobTrouble(running)).toBe('');
    expect(jobTrouble({ ...ended, state: 'failed', error: 'ACCESS_DENIED' })).toBe('ACCESS_DENIED');
    expect(jobTrouble({ ...waiting, error: 'OVERLOAD_LIMIT' })).toBe('OVERLOAD_LIMIT, retrying');
    expect(jobTrouble({ ...running, isSilent: true })).toContain('does not report any more');
  });
});

describe('a consumer', () => {
  const { processes } = workingConsumer;
  const paused = processes.map((process) => ({ ...process, isPaused: true }));

  it.each<[Partial<ListedConsumer>, string | RegExp]>([
    [{}, /^$/],
    [{ missing: true, processes: [], shardsServed: 0 }, 'NOBODY WORKS ON IT: start it'],
    [{ missing: true, shardsServed: 0 }, 'NOBODY WORKS ON IT, what is listed consumes nothing: start it'],
    [{ processes: [...processes, ...paused] }, 'PAUSED'],
    [{ retrying: 12, newer: 12 }, '12 OF A NEWER VERSION wait'],
    [{ unknown: true, processes: [], shardsServed: 0 }, 'nothing exists for it'],
    [{ shardsServed: 0 }, 'do not consume'],
    [{ processes: [] }, 'cannot report its state'],
  ])('%j', (change, text) => {
    expect(consumerNote({ ...workingConsumer, waiting: 3, ...change })?.text ?? '').toMatch(text);
  });
});

it.each([
  [0, 0, ''],
  [0, 1, '1 event in the queue: whose they are is known once a process takes them.'],
  [3, 0, 'Whose events its processes hold now, 3 in all, the most first; none waits in the queue.'],
  [
    3_200,
    12_000,
    'Whose events its processes hold now, 3,200 in all, the most first; 12,000 more wait in the queue, of portals that are not known yet.',
  ],
])('of %d events in hand and %d in the queue it is said whose are known', (inHand, queued, text) => {
  expect(portalsKnownText({ inHand, waiting: queued })).toBe(text);
});

describe('the journal', () => {
  it('that is empty gives no cause for alarm', () => {
    const lines = journalLines(emptyJournal);
    expect(lines.map(({ text }) => text)).toEqual([
      'The bus is up: events go to it.',
      'Slot 0: empty',
      'It takes 1,024 MB, and nothing more once its oldest event is 7 d old.',
    ]);
    expect(lines.some(({ isBad }) => isBad)).toBe(false);
  });

  it('says what is kept where, and what is wrong', () => {
    const oldestAt = new Date(Date.now() - 600_000).toISOString();
    const contents = { events: 2_000, bytes: 1_572_864, oldestAt, newer: 3, unreadable: 0 };
    const lines = journalLines({
      ...emptyJournal,
      ...contents,
      slot: 1,
      isOpen: false,
      isBusAway: true,
      others: [
        { slot: 0, state: 'held' },
        { slot: 2, state: 'unreadable' },
        { slot: 3, state: 'orphaned', ...contents, events: 1, newer: 0, unreadable: 1 },
      ],
    });
    expect(lines.filter(({ isBad }) => isBad).map(({ text }) => text)).toEqual([
      expect.stringContaining('The bus is down'),
      'Slot 1: 3 OF A NEWER VERSION wait for the upgrade',
      expect.stringContaining('IT TAKES NO MORE EVENTS'),
      'Slot 2: CANNOT BE READ, see the log',
      'Slot 3: 1 CANNOT BE READ, see the log',
    ]);
    expect(lines.map(({ text }) => text)).toEqual(
      expect.arrayContaining([
        'Slot 1: 2,000 events, 1.5 MB, the oldest 10 min old',
        'Slot 0: held by another gateway',
        'Slot 3: 1 event, 1.5 MB, the oldest 10 min old; orphaned, drained by this gateway',
      ]),
    );
    expect(journalLines({ ...emptyJournal, slot: null })[1]).toMatchObject({ isBad: true });
  });

  it('of several gateways is shown for each, and its absence is bad', () => {
    const at = { ...emptyJournal, pid: 7, reportedAt: '2026-11-25T11:50:00Z' };
    const lines = journalsLines([
      { ...at, host: 'one' },
      { ...at, host: 'two', isBusAway: true },
    ]);
    expect(lines.filter(({ text }) => text.startsWith('Gateway'))).toEqual([
      { text: 'Gateway 7 on one', isBad: false },
      { text: 'Gateway 7 on two', isBad: true },
    ]);
    expect(journalsLines([])).toEqual([expect.objectContaining({ isBad: true })]);
  });
});

describe('a portal', () => {
  const at: Omit<ListedPortal, 'state'> = {
    memberId: 'm1',
    domain: 'acme.example',
    kind: 'oauth',
    suspendedReason: null,
    suspendedUntil: null,
    language: null,
    settings: {},
    bindings: null,
    installedAt: '2026-11-25T11:50:00Z',
  };

  it('that was resumed says that it has not answered yet', () => {
    expect(portalNote({ ...at, state: 'resuming' })).toMatch(/not answered yet/);
    expect(portalNote({ ...at, state: 'installed' })).toBe('');
  });

  it('that delivers otherwise than most says so, and who must act', () => {
    const deliveries = [
      { mode: 'both', bound: 2, note: null },
      { mode: 'both', bound: 0, note: 'who must act' },
      { mode: 'online', bound: 0, note: null },
      { mode: 'offline', bound: 2, note: null },
    ] as const;
    expect(deliveries.map((delivery) => portalNote({ ...at, state: 'installed', delivery }))).toEqual([
      '',
      'delivery both: who must act',
      'delivery online',
      'delivery offline: 2 events bound offline',
    ]);
  });

  it('whose handlers differed when they were last compared says so', () => {
    const checkedAt = '2026-11-25T12:00:00Z';
    const noteOf = (missing: number, surplus: number) =>
      portalNote({ ...at, state: 'installed', drift: { missing, surplus, foreign: 9, checkedAt } });
    expect(noteOf(0, 0)).toBe('');
    expect(noteOf(1, 0)).toBe(`1 handler missing at its comparison of ${checkedAt}`);
    expect(noteOf(1_200, 3)).toBe(`1,200 handlers missing, 3 surplus at its comparison of ${checkedAt}`);
    expect(portalNote({ ...at, state: 'installed', drift: null })).toBe('');
  });
});
