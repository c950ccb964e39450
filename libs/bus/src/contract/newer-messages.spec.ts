import { describe, expect, it } from '@jest/globals';
import { silentLog } from '@relay/platform';
import { RecordedLog } from '../../../../test/support/recorded-log.js';
import { NewerMessages } from './newer-messages.js';

const MINUTE_MS = 60_000;

describe('messages of a newer version', () => {
  it('are redelivered soon at first, for a rolling update, and rarely after hours', () => {
    let now = 0;
    const newer = new NewerMessages('formatter', silentLog, () => now);
    const delays: number[] = [];
    while (now < 60 * MINUTE_MS) {
      const delayMs = newer.note('a');
      delays.push(delayMs);
      now += delayMs;
    }
    expect(delays.slice(0, 4)).toEqual([5_000, 5_000, 5_000, 7_500]);
    expect(delays.at(-1)).toBe(10 * MINUTE_MS);
    expect(delays.length).toBeLessThan(20);
  });

  it('are counted once each, until they have not been delivered for a while', () => {
    let now = 0;
    const newer = new NewerMessages('formatter', silentLog, () => now);
    newer.note('a');
    newer.note('b');
    now = 15 * MINUTE_MS;
    newer.note('b');
    expect(newer.count).toBe(2);
    now = 21 * MINUTE_MS;
    expect(newer.count).toBe(1);
    now = 60 * MINUTE_MS;
    expect(newer.count).toBe(0);
  });

  it('are logged periodically, not one by one', () => {
    let now = 0;
    const log = new RecordedLog();
    const newer = new NewerMessages('formatter', log, () => now);
    for (; now < 25 * MINUTE_MS; now += 1_000) newer.note(String(now));
    expect(log.read('warn')).toHaveLength(3);
  });
});
