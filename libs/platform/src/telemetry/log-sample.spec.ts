import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { silentLog } from './logger.js';
import { LogSample } from './log-sample.js';

describe('a log line that strangers can cause', () => {
  let summaries: object[];
  let sample: LogSample;

  beforeEach(() => {
    jest.useFakeTimers();
    summaries = [];
    sample = new LogSample({ ...silentLog, warn: (fields: object) => void summaries.push(fields) });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  function written(kind: string, times: number): number {
    let lines = 0;
    for (let count = 0; count < times; count += 1) sample.add(kind, () => (lines += 1));
    return lines;
  }

  it('is logged five times in ten seconds, per kind', () => {
    expect([written('a', 1_000), written('b', 3)]).toEqual([5, 3]);
    jest.advanceTimersByTime(10_000);
    expect(written('a', 7)).toBe(5);
  });

  it('is followed by the number of omitted lines', () => {
    written('a', 1_000);
    written('b', 5);
    jest.advanceTimersByTime(10_000);
    expect(summaries).toEqual([{ event: 'log.lines.left_out', kind: 'a', leftOut: 995 }]);
  });

  it('has a bounded number of kinds', () => {
    for (let kind = 0; kind < 2_000; kind += 1) expect(written(String(kind), 1)).toBe(1);
    expect(jest.getTimerCount()).toBeLessThanOrEqual(500);
  });
});
