import { describe, expect, it } from '@jest/globals';
import { GatewayReports } from './gateway-reports.js';

const journal = {
  slot: 0,
  events: 3,
  bytes: 900,
  oldestAt: '2026-11-25T11:50:00.000Z',
  newer: 0,
  unreadable: 0,
  limits: { maxBytes: 1, maxAgeMs: 1 },
  isOpen: true,
  isBusAway: false,
  others: [],
};
const reportedAt = new Date('2026-11-25T12:00:00Z');
const process = { replica: 'r', pid: 7, address: 'http://10.0.0.7:9100', startedAt: reportedAt, reportedAt };

function repair(at: string, name: string): object {
  return { kind: 'queue', name, consumer: 'c', at };
}

describe('the reports of gateways', () => {
  it('show the journal of each, and leave out what this version cannot read', async () => {
    const rows = [
      { ...process, host: 'one', state: { journal, repairs: [] } },
      { ...process, host: 'newer', state: { spool: {} } },
    ];
    const reports = new GatewayReports({ query: async () => rows });
    await expect(reports.journals()).resolves.toEqual([
      { ...journal, host: 'one', pid: 7, reportedAt: '2026-11-25T12:00:00.000Z' },
    ]);
  });

  it('name repairs of all of them, newest first', async () => {
    const rows = [
      { ...process, host: 'one', state: { journal, repairs: [repair('2026-11-25T11:00:00Z', 'first')] } },
      { ...process, host: 'two', state: { journal, repairs: [repair('2026-11-25T11:30:00Z', 'second')] } },
    ];
    const reports = new GatewayReports({ query: async () => rows });
    expect((await reports.repairs()).map((one) => (one as { name?: string }).name)).toEqual([
      'second',
      'first',
    ]);
  });
});
