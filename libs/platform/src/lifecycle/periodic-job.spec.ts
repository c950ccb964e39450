import { afterEach, describe, expect, it } from '@jest/globals';
import { silentLog } from '../telemetry/logger.js';
import { eventually } from '../../../../test/support/eventually.js';
import { PeriodicJob } from './periodic-job.js';

describe('a periodic job', () => {
  let loop: PeriodicJob | undefined;
  afterEach(() => loop?.stop());

  it('runs at the start and after each pause', async () => {
    let runs = 0;
    loop = new PeriodicJob('spec', 20, silentLog, async () => void (runs += 1));
    loop.start();
    await eventually(() => expect(runs).toBeGreaterThanOrEqual(3));
  });

  it('runs once more, and never concurrently, when it is triggered during a run', async () => {
    let [runs, concurrency, maxConcurrency] = [0, 0, 0];
    loop = new PeriodicJob('spec', 60_000, silentLog, async () => {
      runs += 1;
      concurrency += 1;
      maxConcurrency = Math.max(maxConcurrency, concurrency);
      await new Promise(setImmediate);
      concurrency -= 1;
    });
    loop.start();
    for (let times = 0; times < 5; times += 1) loop.trigger();
    await eventually(() => expect(runs).toBe(2));
    expect(maxConcurrency).toBe(1);
  });

  it('continues after a failure, with a shorter pause', async () => {
    let runs = 0;
    loop = new PeriodicJob('spec', 100, silentLog, async () => {
      runs += 1;
      if (runs < 3) throw new Error('the database is away');
    });
    loop.start();
    await eventually(() => expect(runs).toBeGreaterThanOrEqual(3));
  });

  it('does not run after it has stopped', async () => {
    let runs = 0;
    const stopped = new PeriodicJob('spec', 1, silentLog, async () => void (runs += 1));
    stopped.start();
    await eventually(() => expect(runs).toBeGreaterThan(1));
    await stopped.stop();
    const then = runs;
    stopped.trigger();
    await new Promise(setImmediate);
    expect(runs).toBe(then);
  });
});
