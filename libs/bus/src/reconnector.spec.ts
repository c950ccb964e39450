import { afterEach, expect, it } from '@jest/globals';
import { eventually } from '../../../test/support/eventually.js';
import { RecordedLog } from '../../../test/support/recorded-log.js';
import { ConnectionReport } from './connection-report.js';
import { Reconnector, type Session } from './reconnector.js';

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
      setImmediate(() => onEnd(new Error('The first publish was refused')));
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
  expect(log.read().map(({ message }) => message)).toEqual(['bus connection is down, will connect again']);
});

it('does not log again and again that it is up when sessions end at once', async () => {
  const log = new RecordedLog();
  const attempts = await failing(log, 'open');
  await eventually(() => expect(attempts()).toBeGreaterThan(4));
  expect(log.read().map(({ message }) => message)).toEqual([
    'bus connection is up',
    'bus connection is down, will connect again',
  ]);
});
