import { describe, expect, it } from '@jest/globals';
import type { ListedPortal, PortalSearchResponse } from '@relay/admin-contract';
import { emptyJournal, workingConsumer } from '../../../../test/support/admin-samples.js';
import { findingsIn } from './attention.js';

const consumer = { ...workingConsumer, consumer: 'names' };
const portal: ListedPortal = {
  memberId: 'm1',
  domain: 'acme.example',
  kind: 'oauth',
  state: 'installed',
  suspendedReason: null,
  suspendedUntil: null,
  language: null,
  settings: {},
  bindings: null,
  installedAt: '2026-11-25T11:50:00Z',
};
const noPortals: PortalSearchResponse = {
  portals: [],
  matching: 0,
  counts: {
    total: 5_000,
    attention: 0,
    installed: 5_000,
    'needs-reauth': 0,
    'needs-webhook': 0,
    suspended: 0,
    uninstalled: 0,
    resuming: 0,
    unreachable: 0,
  },
};
const job = {
  id: '1',
  consumer: 'smart-process-sync',
  memberId: 'm1',
  domain: 'acme.example',
  kind: 'backfill',
  progress: {},
  error: null,
  attempts: 0,
  isInteractive: false,
  isSilent: false,
  lostLeases: 0,
  requestedAt: '2026-11-25T11:50:00Z',
  startedAt: null,
  endedAt: null,
};
const textsOf = (seen: Parameters<typeof findingsIn>[0]): string[] =>
  findingsIn(seen).map(({ level, title, detail }) => `${level} ${title} (${detail})`);

describe('what needs attention', () => {
  it('is nothing while all is well, and nothing is made up of what was not read', () => {
    expect(findingsIn({})).toEqual([]);
    const well = { portals: noPortals, journal: { gateways: [emptyJournal] }, topology: [], unrouted: [] };
    expect(
      findingsIn({ consumers: [consumer], sync: { running: 0, waiting: 0, tasks: [] }, ...well }),
    ).toEqual([]);
  });

  it.each([
    [{ ...consumer, dead: 3 }, /^bad 3 dead letters of names/],
    [
      { ...consumer, missing: true, processes: [], waiting: 7 },
      /^bad names: Nobody works on it.* \(7 events waiting\)/,
    ],
    [
      { ...consumer, processes: consumer.processes.map((one) => ({ ...one, isPaused: true })) },
      /^bad names: Paused/,
    ],
    [{ ...consumer, newer: 2, retrying: 2 }, /^bad names: 2 of a newer version/],
    [{ ...consumer, shardsServed: 0 }, /^bad names: Its processes do not consume/],
  ])('of a consumer, %#', (one, text) =>
    expect(textsOf({ consumers: [one] })).toEqual([expect.stringMatching(text)]),
  );

  it('of portals is one line a state, with some names and where to find the others', () => {
    const suspended = { ...portal, state: 'suspended' as const, suspendedReason: 'OVERLOAD_LIMIT' };
    const portals = ['a', 'b', 'c', 'd'].map((name) => ({
      ...suspended,
      memberId: name,
      domain: `${name}.example`,
    }));
    const counts = { ...noPortals.counts, attention: 9, suspended: 9 };
    expect(findingsIn({ portals: { portals, matching: 9, counts } })).toEqual([
      {
        key: 'portals suspended',
        level: 'bad',
        title: '9 portals suspended',
        detail: 'a.example, b.example, c.example and 6 more',
        href: '#/portals?state=suspended',
      },
    ]);
  });

  it('of a single portal leads to it, and says why', () => {
    const drift = { missing: 2, surplus: 0, foreign: 0, checkedAt: '2026-11-25T11:50:00Z' };
    const counts = { ...noPortals.counts, attention: 1 };
    const [finding] = findingsIn({ portals: { portals: [{ ...portal, drift }], matching: 1, counts } });
    expect(finding).toMatchObject({ level: 'warn', href: '#/portals/m1' });
    expect(finding?.detail).toMatch(/^acme\.example: 2 handlers missing/);
  });

  it('of the journal is what is in it, and what it does not take', () => {
    const gateways = [
      { ...emptyJournal, events: 5, bytes: 9, oldestAt: emptyJournal.reportedAt, isOpen: false },
    ];
    expect(textsOf({ journal: { gateways } })).toEqual([
      expect.stringMatching(/^bad Journal: It takes no more events/),
      expect.stringMatching(/^warn 5 events in the journal/),
    ]);
    expect(textsOf({ journal: { gateways: [] } })).toEqual([
      expect.stringMatching(/^bad .*No gateway reports/),
    ]);
  });

  it('of many failed jobs is one line', () => {
    const tasks = [1, 2, 3, 4].map((id) => ({ ...job, id: String(id), state: 'failed' as const }));
    expect(textsOf({ sync: { running: 0, waiting: 0, tasks } })).toEqual([
      'warn 4 jobs of the mirror failed (acme.example, acme.example, acme.example and 1 more)',
    ]);
  });

  it('puts what stops events before what does not', () => {
    const tasks = [{ ...job, state: 'failed' as const, error: 'ACCESS_DENIED' }];
    const topology = [
      {
        kind: 'queue' as const,
        name: 'b24.names.3',
        consumer: 'names',
        state: 'missing' as const,
        detail: null,
      },
    ];
    expect(
      textsOf({
        sync: { running: 0, waiting: 0, tasks },
        unrouted: [{ name: 'ONCRMLEADADD', events: 1_200 }],
        topology,
        consumers: [{ ...consumer, dead: 1 }],
      }),
    ).toEqual([
      expect.stringMatching(/^bad 1 dead letter of names/),
      'bad 1 part of the bus is not as it should be (queue b24.names.3 missing)',
      expect.stringMatching(/^warn Backfill of acme\.example failed \(ACCESS_DENIED/),
      'warn 1,200 events without a subscriber (ONCRMLEADADD 1,200)',
    ]);
  });
});
