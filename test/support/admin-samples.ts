import type { ListedConsumer, ReportedJournal } from '@relay/admin-contract';

/** What the admin API says of a consumer that works, in one process. */
export const workingConsumer: ListedConsumer = {
  consumer: 'name-formatter',
  waiting: 0,
  inHand: 0,
  retrying: 0,
  newer: 0,
  deferred: 0,
  dead: 0,
  oldestAt: null,
  shardsServed: 16,
  processes: [
    {
      replica: 'r',
      host: 'h',
      pid: 1,
      lanes: 0,
      waiting: 0,
      batches: 0,
      isPaused: false,
      oldestAt: null,
      newer: 0,
      deferred: 0,
      done: 0,
      largest: [],
      startedAt: '2026-11-25T11:00:00Z',
      reportedAt: '2026-11-25T11:59:58Z',
    },
  ],
  missing: false,
  unknown: false,
  events: [],
};

/** What it says of a gateway without events on its disk. */
export const emptyJournal: ReportedJournal = {
  slot: 0,
  events: 0,
  bytes: 0,
  oldestAt: null,
  newer: 0,
  unreadable: 0,
  limits: { maxBytes: 1024 ** 3, maxAgeMs: 7 * 86_400_000 },
  isOpen: true,
  isBusAway: false,
  others: [],
  host: 'h',
  pid: 1,
  reportedAt: '2026-11-25T11:59:58Z',
};
