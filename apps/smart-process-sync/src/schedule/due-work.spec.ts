import { describe, expect, it } from '@jest/globals';
import { findDueWork } from './schedule.js';

const now = new Date('2026-11-25T12:00:00Z');
const installedAt = new Date('2026-11-25T11:59:30Z');
const longAgo = new Date('2026-11-01T00:00:00Z');
const portal = { state: 'installed', kind: 'oauth', settings: {}, installedAt } as const;
const bound = ['ONCRMDYNAMICITEMADD', 'ONCRMDYNAMICITEMUPDATE_147', 'ONCRMDYNAMICITEMDELETE', 'ONCRMTYPEADD'];
const notes = {
  memberId: 'm1',
  backfillRequestedAt: longAgo,
  isReconcileDue: false,
  settingsSeen: null,
  isUninstalled: false,
  gapSeen: '7',
};

describe('what a portal needs', () => {
  it.each([
    ['nothing before its events are bound', portal, undefined, bound.slice(1), undefined],
    ['its first backfill once they are', portal, undefined, bound, 'first'],
    [
      'its first backfill when they cannot be bound',
      { ...portal, installedAt: longAgo },
      undefined,
      [],
      'first',
    ],
    [
      'its first backfill at once when its events are bound by hand',
      { ...portal, kind: 'webhook' },
      undefined,
      [],
      'first',
    ],
    ['nothing while all is well', portal, notes, bound, undefined],
    ['a comparison every day', portal, { ...notes, isReconcileDue: true }, bound, 'daily'],
    [
      'a look when its settings were changed',
      { ...portal, settings: { 'smart-process-sync': { invoices: true } } },
      notes,
      bound,
      'settings',
    ],
    [
      'nothing for the settings of others',
      { ...portal, settings: { 'name-formatter': {} } },
      notes,
      bound,
      undefined,
    ],
    ['a note when it is uninstalled', { ...portal, state: 'uninstalled' }, notes, bound, 'uninstalled'],
    [
      'no second one',
      { ...portal, state: 'uninstalled' },
      { ...notes, isUninstalled: true },
      bound,
      undefined,
    ],
    ['a comparison when it is back', portal, { ...notes, isUninstalled: true }, bound, 'reinstalled'],
    [
      'nothing while it must be authorized again',
      { ...portal, state: 'needs-reauth' },
      { ...notes, isReconcileDue: true },
      bound,
      undefined,
    ],
    [
      'a comparison every day, also while its events do not arrive',
      { ...portal, state: 'unreachable' },
      { ...notes, isReconcileDue: true },
      bound,
      'daily',
    ],
    ['a comparison when events were missed', portal, { ...notes, gapSeen: '6' }, bound, 'missed'],
    [
      'no comparison for events that were missed, while it cannot be called',
      { ...portal, state: 'suspended' },
      { ...notes, gapSeen: '6' },
      bound,
      undefined,
    ],
  ] as const)('is %s', (_, given, known, names, due) => {
    expect(findDueWork(given, known, names, now, '7')).toBe(due);
  });
});
