import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { silentLog } from '@relay/platform';
import { eventually } from '../../../../test/support/eventually.js';
import { busesUnderTest, retryDelaysMs, type BusUnderTest } from '../../../../test/support/bus-under-test.js';
import { anEvent } from '../../../../test/support/an-event.js';
import { MemoryCrashLog } from '../../test/memory-crash-log.js';
import { Dispatcher } from './dispatcher.js';
import type { Consumption, EventBus } from '@relay/bus';

jest.setTimeout(60_000);

const name = 'ONCRMCONTACTUPDATE';

describe.each(busesUnderTest)('events of a portal that cannot be called, on %s', (_, setUp) => {
  let underTest: BusUnderTest;
  let bus: EventBus;
  let consumption: Consumption | undefined;

  beforeAll(async () => {
    underTest = await setUp();
    bus = await underTest.open();
  });
  afterAll(async () => {
    await consumption?.stop();
    await bus.close();
    await underTest.drop();
  });

  async function consume(consumer: string, handle: () => Promise<never[]>, holdMs: number): Promise<void> {
    await consumption?.stop();
    const handler = { names: [name], merge: true, maxEntries: 100, handle };
    const holdDays = holdMs / (24 * 3_600_000);
    const dispatcher = new Dispatcher({
      consumer,
      handlers: [handler],
      log: silentLog,
      crashLog: new MemoryCrashLog(),
      holdMs: 0,
      retryDelaysMs,
      holdDays,
    });
    consumption = await bus.consume({
      consumer,
      names: [name],
      receive: (delivery) => dispatcher.receive(delivery),
    });
  }

  it('are redelivered more often than they have retries, and are handled when it works again', async () => {
    let calls = 0;
    // More than the two retries of the configured tiers.
    const handle = async (): Promise<never[]> => {
      calls += 1;
      if (calls > 4) return [];
      throw { code: 'PORTAL_SUSPENDED', recovery: 'wait', retryAfterMs: 10 };
    };
    await consume('held', handle, 600_000);
    await bus.publish(anEvent());
    await eventually(() => expect(calls).toBe(5), { timeoutMs: 30_000 });
    expect(await underTest.deadLetters('held')).toEqual([]);
  });

  it('become dead letters after the hold time, with the last reason', async () => {
    const guidance = { code: 'NEEDS_REAUTH', recovery: 'reauthorize', retryAfterMs: 10 };
    const error = Object.assign(new Error('authorize it again'), guidance);
    await consume('given-up', () => Promise.reject(error), 500);
    await bus.publish(anEvent());
    const dead = await eventually(
      async () => {
        const letters = await underTest.deadLetters('given-up');
        expect(letters).toHaveLength(1);
        return letters;
      },
      { timeoutMs: 30_000 },
    );
    expect(dead).toMatchObject([
      { code: 'portal-unavailable', message: expect.stringContaining('NEEDS_REAUTH: authorize it again') },
    ]);
  });
});
