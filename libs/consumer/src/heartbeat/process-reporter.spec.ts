import { describe, expect, it } from '@jest/globals';
import { silentLog } from '@relay/platform';
import { eventually } from '../../../../test/support/eventually.js';
import { ProcessReporter, type ReportDatabase } from './process-reporter.js';

const held = {
  lanes: 1,
  waiting: 2,
  batches: 3,
  isPaused: false,
  oldestAt: undefined,
  newer: 0,
  deferred: 0,
  done: 0,
  largest: [],
};

function rig(database: ReportDatabase): { reporter: ProcessReporter; lines: string[] } {
  const lines: string[] = [];
  const write = (_fields: object, message: string): void => void lines.push(message);
  const log = { ...silentLog, warn: write, info: write };
  return {
    reporter: new ProcessReporter({ consumer: 'formatter', database, state: () => held, log, everyMs: 5 }),
    lines,
  };
}

/** Real: the reporter and its timer. Fake: the database, which fails on demand. */
describe('the process reporter', () => {
  it('logs once that it fails, and once that it works again', async () => {
    let asked = 0;
    const { reporter, lines } = rig({
      query: async () => {
        asked += 1;
        if (asked <= 5) throw new Error('the database is away');
      },
    });
    await reporter.start();
    await eventually(() => expect(asked).toBeGreaterThan(8));
    await reporter.stop();
    expect(lines).toEqual([
      'the process cannot report itself to operators',
      'the process reports itself to operators again',
    ]);
  });

  it('never runs two queries at once on a slow database, and waits for it when it stops', async () => {
    const waiting: (() => void)[] = [];
    const { reporter } = rig({
      query: () =>
        new Promise<void>((resolve) => {
          waiting.push(resolve);
        }),
    });
    const started = reporter.start();
    await eventually(() => expect(waiting).toHaveLength(1));
    let ticks = 0;
    const counting = setInterval(() => (ticks += 1), 5);
    await eventually(() => expect(ticks).toBeGreaterThan(5));
    clearInterval(counting);
    expect(waiting).toHaveLength(1);
    const stopped = reporter.stop();
    waiting[0]?.();
    await started;
    await eventually(() => expect(waiting).toHaveLength(2));
    waiting[1]?.();
    await stopped;
  });
});
