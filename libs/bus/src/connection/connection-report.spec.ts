import { beforeEach, describe, expect, it } from '@jest/globals';
import { RecordedLog } from '../../../../test/support/recorded-log.js';
import { BusHealth, ConnectionReport } from './connection-report.js';

const rejected = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
const login = new Error(
  'Handshake terminated by server: 403 with message "ACCESS_REFUSED - Login was refused"',
);
const minuteMs = 60_000;

describe('the state report of a connection', () => {
  let log: RecordedLog;
  let busHealth: BusHealth;
  let nowMs: number;
  let report: ConnectionReport;

  beforeEach(() => {
    log = new RecordedLog();
    busHealth = new BusHealth();
    nowMs = 0;
    report = new ConnectionReport({ name: 'publish', address: 'AMQP_URL', log, busHealth, now: () => nowMs });
  });
  const said = (): string[] => log.read().map(({ level }) => level);

  it('logs a failure once however often it repeats, and again every ten minutes', () => {
    for (; nowMs < 30 * minuteMs; nowMs += 10_000) report.down(rejected);
    expect(said()).toEqual(['warn', 'warn', 'warn']);
  });

  it('logs a new reason again, at a higher level when it requires an operator', () => {
    report.down(rejected);
    report.down(login);
    report.down(login);
    report.down(rejected);
    expect(said()).toEqual(['warn', 'error', 'warn']);
  });

  it('logs again when the connection fails after it was up', () => {
    report.down(rejected);
    report.up();
    report.up();
    report.down(rejected);
    expect(said()).toEqual(['warn', 'info', 'warn']);
  });

  it('reports the problem to the bus health while it lasts', () => {
    const other = new ConnectionReport({ name: 'retry', address: 'AMQP_URL', log, busHealth });
    report.down(rejected);
    other.down(rejected);
    expect(busHealth.reason).toBe('Nothing answers at the address in AMQP_URL (the connection is refused).');
    report.down(login);
    expect(busHealth.reason).toMatch(/rejects the user or the password.*Nothing answers/);
    report.up();
    other.close();
    expect(busHealth.reason).toBeUndefined();
  });
});
