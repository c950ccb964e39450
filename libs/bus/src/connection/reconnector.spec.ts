import { afterEach, expect, it } from '@jest/globals';
import { eventually } from '../../../../test/support/eventually.js';
import { RecordedLog } from '../../../../test/support/recorded-log.js';
import { ConnectionReport } from './connection-report.js';
import { BACKOFF, Reconnector, type Session } from './reconnector.js';

const session: Session = { close: () => Promise.resolve() };
let closing: (() => Promise<void>) | undefined;
afterEach(() => closing?.());

/** Every session fails, when it is opened or right after it. */
async function failing(log: RecordedLog, when: 'opening' | 'open'): Promise<() => number> {
  let attempts = 0;
  const reconnector = new Reconnector({
    report: new ConnectionReport({ name: 'spec', address: 'AMQP_URL', log }),
    open: async (onEnd) => {
      attempts += 1;
      if (when === 'opening') throw new Error('The queue is not as it should be');
      setImmediate(() => onEnd(new Error('The first publish was rejected')));
      return session;
    },
  });
  closing = () => reconnector.close();
  await reconnector.start();
  return () => attempts;
}

it('retries, and logs once that it cannot connect', async () => {
  const log = new RecordedLog();
  const attempts = await failing(log, 'opening');
  await eventually(() => expect(attempts()).toBeGreaterThan(4));
  expect(log.read().map(({ message }) => message)).toEqual(['the bus connection is down; reconnecting']);
});

it('does not log again and again that it is up when sessions end at once', async () => {
  const log = new RecordedLog();
  const attempts = await failing(log, 'open');
  await eventually(() => expect(attempts()).toBeGreaterThan(4));
  expect(log.read().map(({ message }) => message)).toEqual([
    'the bus connection is up',
    'the bus connection is down; reconnecting',
  ]);
});

it('backs off with jitter: twice as long each time, ten seconds at most', () => {
  let step = BACKOFF.next();
  const maximaMs = [100, 200, 400, 800, 1_600, 3_200, 6_400, ...Array<number>(1_100).fill(10_000)];
  for (const maxMs of maximaMs) {
    expect(step.duration).toBeGreaterThanOrEqual(maxMs / 2);
    expect(step.duration).toBeLessThanOrEqual(maxMs);
    step = step.next(undefined);
  }
});
