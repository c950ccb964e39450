import { afterEach, describe, expect, it } from '@jest/globals';
import { register } from 'prom-client';
import { registerWorkMetrics } from './work-metrics.js';

const endings: (() => void)[] = [];
const show = (...args: Parameters<typeof registerWorkMetrics>): void =>
  void endings.push(registerWorkMetrics(...args));

async function shown(): Promise<string[]> {
  const text = await register.metrics();
  return text.split('\n').filter((line) => line.startsWith('relay_bus_'));
}

describe('the metrics of in-flight work', () => {
  afterEach(() => {
    for (const end of endings.splice(0)) end();
  });

  it('are those of the moment of the scrape, by consumer', async () => {
    let lanes = 1;
    const oldestAt = Date.now() - 90_000;
    show('one', () => ({ lanes: lanes++, waiting: 7, batches: 2, isPaused: true, oldestAt, deferred: 0 }));
    show('other', () => ({
      lanes: 0,
      waiting: 0,
      batches: 0,
      isPaused: false,
      oldestAt: undefined,
      deferred: 0,
    }));
    expect(await shown()).toEqual(
      expect.arrayContaining([
        'relay_bus_lanes{consumer="one"} 1',
        'relay_bus_lanes{consumer="other"} 0',
        'relay_bus_waiting_events{consumer="one"} 7',
        'relay_bus_batches_in_hand{consumer="one"} 2',
        'relay_bus_paused{consumer="one"} 1',
        expect.stringMatching(/^relay_bus_oldest_waiting_seconds\{consumer="one"\} 90\.?\d*$/),
        'relay_bus_oldest_waiting_seconds{consumer="other"} 0',
      ]),
    );
  });

  it('never show a negative age, when the gateway’s clock is ahead of ours', async () => {
    show('one', () => ({
      lanes: 1,
      waiting: 1,
      batches: 0,
      isPaused: false,
      oldestAt: Date.now() + 60_000,
      deferred: 0,
    }));
    expect(await shown()).toContain('relay_bus_oldest_waiting_seconds{consumer="one"} 0');
  });

  it('show nothing for a consumer that has not started or has ended', async () => {
    show('one', () => undefined);
    show('other', () => ({ lanes: 3, waiting: 3, batches: 3, isPaused: false, oldestAt: 0, deferred: 0 }));
    expect((await shown()).join('\n')).not.toContain('"one"');
    endings.pop()?.();
    expect(await shown()).toEqual([]);
  });
});
