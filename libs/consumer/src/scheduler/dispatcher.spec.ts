import { afterEach, describe, expect, it, jest } from '@jest/globals';
import type { EventOutcome } from '@relay/event-log';
import { silentLog, deferred } from '@relay/platform';
import { eventually } from '../../../../test/support/eventually.js';
import type { PortalBatch } from './batch.js';
import { Dispatcher, type DispatcherOptions } from './dispatcher.js';
import type { EventHandler } from './run-batch.js';
import { anEvent } from '../../../../test/support/an-event.js';
import { MemoryCrashLog } from '../../test/memory-crash-log.js';
import { recorded } from '../../test/recorded-delivery.js';
import { RecordedLog } from '../../../../test/support/recorded-log.js';

type Handle = EventHandler['handle'];

const handler = (
  handle: Handle,
  names = ['ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE'],
  merge = true,
): EventHandler => ({
  names,
  merge,
  maxEntries: 2_500,
  handle,
});

const dispatch = (handlers: EventHandler[], options: Partial<DispatcherOptions> = {}): Dispatcher =>
  new Dispatcher({ consumer: 'test', handlers, log: silentLog, crashLog: new MemoryCrashLog(), ...options });

const succeed: Handle = async () => [];
const noBatch: PortalBatch = { memberId: '', entries: [] };

const withMuchData = (entityId: string, memberId = 'flood') =>
  recorded(anEvent({ memberId, entityId, data: { FIELDS: { ID: entityId, TEXT: 'x'.repeat(3 << 20) } } }));

const heldFor = (days: number) => recorded(anEvent(), 0, Date.now() - days * 24 * 3_600_000);

const postpone = (...ids: string[]) =>
  ids.map((id) => ({ entity: `CRMCONTACT:${id}`, isPostponed: true as const }));
const idsOf = ({ entries }: PortalBatch) => entries.map(({ entityId }) => entityId);
const contacts = (...ids: string[]) => ids.map((entityId) => recorded(anEvent({ entityId })));

/** A dispatcher whose handler does this, one batch after the other, and what it saw. */
function dispatching(handles: Handle[], options: Partial<DispatcherOptions> = {}) {
  const batches: PortalBatch[] = [];
  const dispatcher = dispatch(
    [
      handler(async (batch) => {
        batches.push(batch);
        return (await handles[batches.length - 1]?.(batch)) ?? [];
      }),
    ],
    options,
  );
  return { dispatcher, batches };
}

describe('the dispatcher', () => {
  it('makes one batch of a burst, and settles every delivery of a merged entry', async () => {
    const batches: PortalBatch[] = [];
    const dispatcher = dispatch([
      handler(async (batch) => {
        batches.push(batch);
        return [];
      }),
    ]);
    const deliveries = ['82', '82', '83'].map((entityId) => recorded(anEvent({ entityId })));
    for (const { delivery } of deliveries) dispatcher.receive(delivery);
    await eventually(() => {
      expect(deliveries.map(({ receipt }) => receipt.settled)).toEqual([
        [{ as: 'done' }],
        [{ as: 'done' }],
        [{ as: 'done' }],
      ]);
    });
    expect(batches.map(({ entries }) => entries.map(({ entityId }) => entityId))).toEqual([['82', '83']]);
  });

  it('tells the event log what it decided about each event, and into which it was merged', async () => {
    const logged: EventOutcome[] = [];
    const eventLog = { settled: (one: EventOutcome) => void logged.push(one) };
    const error = Object.assign(new Error('down'), { code: 'TIMEOUT', recovery: 'retry' });
    const dispatcher = dispatch(
      [
        handler(async ({ entries }) =>
          entries.flatMap(({ entity, entityId }) => (entityId === '83' ? [{ entity, error }] : [])),
        ),
      ],
      { eventLog },
    );
    const events = ['82', '82', '83'].map((entityId) => anEvent({ entityId }));
    const [first, second, third] = events.map(({ id }) => id);
    for (const event of events) dispatcher.receive(recorded(event, 1).delivery);
    dispatcher.receive(recorded(anEvent({ id: 'unhandled', name: 'ONCRMLEADADD' }), 99).delivery);
    await eventually(() => expect(logged).toHaveLength(4));
    const common = { consumer: 'test', attempts: 1, code: undefined, mergedInto: undefined };
    expect(logged).toEqual([
      { ...common, eventId: 'unhandled', attempts: 99, outcome: 'dead', code: 'NO_HANDLER' },
      { ...common, eventId: first, outcome: 'done' },
      { ...common, eventId: second, outcome: 'done', mergedInto: first },
      { ...common, eventId: third, outcome: 'retry', code: 'TIMEOUT' },
    ]);
  });

  it('retries every delivery of a batch that threw, with the code of the error', async () => {
    const error = Object.assign(new Error('down'), { code: 'TIMEOUT', recovery: 'retry' });
    const dispatcher = dispatch([handler(() => Promise.reject(error))]);
    const fresh = recorded(anEvent({ entityId: '1' }));
    const tried = recorded(anEvent({ entityId: '2' }), 2);
    for (const { delivery } of [fresh, tried]) dispatcher.receive(delivery);
    const failure = { code: 'TIMEOUT', message: 'down' };
    await eventually(() => {
      expect(fresh.receipt.settled).toEqual([
        { as: 'retry', afterMs: 5_000, failure, countsAsAttempt: true },
      ]);
      expect(tried.receipt.settled).toEqual([
        { as: 'retry', afterMs: 120_000, failure, countsAsAttempt: true },
      ]);
    });
  });

  it('decides by the age of each delivery, also where they were merged', async () => {
    const dispatcher = dispatch([handler(() => Promise.reject(new Error('boom')))]);
    const old = recorded(anEvent(), 6);
    const fresh = recorded(anEvent());
    for (const { delivery } of [old, fresh]) dispatcher.receive(delivery);
    await eventually(() => {
      expect(old.receipt.settled).toMatchObject([{ as: 'dead' }]);
      expect(fresh.receipt.settled).toMatchObject([{ as: 'retry' }]);
    });
  });

  it('settles the entries that failed apart from those that did not', async () => {
    const dispatcher = dispatch([
      handler(async () => [
        {
          entity: 'CRMCONTACT:2',
          error: { code: 'QUERY_LIMIT_EXCEEDED', recovery: 'wait', retryAfterMs: 90_000 },
        },
        { entity: 'CRMCONTACT:3', error: { code: 'ACCESS_DENIED', recovery: 'never' } },
      ]),
    ]);
    const deliveries = ['1', '2', '3'].map((entityId) => recorded(anEvent({ entityId })));
    for (const { delivery } of deliveries) dispatcher.receive(delivery);
    await eventually(() => {
      expect(deliveries.map(({ receipt }) => receipt.settled)).toMatchObject([
        [{ as: 'done' }],
        [{ as: 'retry', afterMs: 90_000, countsAsAttempt: false, failure: { code: 'QUERY_LIMIT_EXCEEDED' } }],
        [{ as: 'dead', failure: { code: 'ACCESS_DENIED' } }],
      ]);
    });
  });

  it('makes nothing done when the handler names a failed entry that is not in the batch', async () => {
    const dispatcher = dispatch([handler(async () => [{ entity: '82', error: new Error('no') }])]);
    const { delivery, receipt } = recorded(anEvent({ entityId: '82' }));
    dispatcher.receive(delivery);
    await eventually(() => {
      expect(receipt.settled).toMatchObject([{ as: 'retry', failure: { code: 'UNKNOWN_ENTRY' } }]);
    });
  });

  it('moves events that were held for too long to the dead letters, with the last reason', async () => {
    const suspended = { code: 'PORTAL_SUSPENDED', recovery: 'wait', message: 'no calls (OVERLOAD_LIMIT)' };
    const dispatcher = dispatch([handler(() => Promise.reject(suspended))], { holdDays: 2 });
    const [held, young] = [heldFor(2.1), heldFor(1.9)];
    for (const { delivery } of [held, young]) dispatcher.receive(delivery);
    const reason = 'the last reason: PORTAL_SUSPENDED: no calls (OVERLOAD_LIMIT)';
    await eventually(() => {
      expect(young.receipt.settled).toMatchObject([{ as: 'retry', countsAsAttempt: false }]);
      expect(held.receipt.settled).toEqual([
        {
          as: 'dead',
          failure: {
            code: 'portal-unavailable',
            message: `the portal could not be called for 2 days; ${reason}`,
          },
        },
      ]);
    });
  });

  it('never runs two batches of one portal, and goes on with what came meanwhile', async () => {
    const inFlight: PortalBatch[] = [];
    const release = [deferred<void>(), deferred<void>()];
    const dispatcher = dispatch([
      handler(async (batch) => {
        inFlight.push(batch);
        await release[inFlight.length - 1]?.promise;
        return [];
      }),
    ]);
    const [first, second, elsewhere] = [
      recorded(anEvent()),
      recorded(anEvent()),
      recorded(anEvent({ memberId: 'another' })),
    ];
    dispatcher.receive(first.delivery);
    await eventually(() => expect(inFlight).toHaveLength(1));
    dispatcher.receive(second.delivery);
    dispatcher.receive(elsewhere.delivery);
    await eventually(() =>
      expect(inFlight.map(({ memberId }) => memberId)).toEqual([anEvent().memberId, 'another']),
    );
    release[1]?.resolve();
    await eventually(() => expect(elsewhere.receipt.settled).toHaveLength(1));
    expect(second.receipt.settled).toEqual([]);
    release[0]?.resolve();
    await eventually(() => expect(second.receipt.settled).toEqual([{ as: 'done' }]));
  });

  describe('after a batch', () => {
    const hours = {
      firstMs: 3_600_000,
      maxMs: 3_600_000,
      lingerMs: 3_600_000,
      lingerPerEntryMs: 0,
      offlineMs: 3_600_000,
    };

    /** A dispatcher that has handled one event of the portal, and the sizes of its batches. */
    async function afterFirst(
      merge: boolean,
      batching = hours,
      options: Partial<DispatcherOptions> = {},
    ): Promise<{ dispatcher: Dispatcher; sizes: number[]; send: (entityId: string) => void }> {
      const sizes: number[] = [];
      const note: Handle = async ({ entries }) => {
        sizes.push(entries.length);
        return [];
      };
      const dispatcher = dispatch([{ ...handler(note, undefined, merge), maxEntries: 3 }], {
        batching,
        ...options,
      });
      const send = (entityId: string): void => dispatcher.receive(recorded(anEvent({ entityId })).delivery);
      send('1');
      await eventually(() => expect(sizes).toEqual([1]));
      return { dispatcher, sizes, send };
    }

    it('lingers until a batch is full', async () => {
      const { dispatcher, sizes, send } = await afterFirst(true);
      for (const entityId of ['2', '3']) {
        send(entityId);
        await new Promise(setImmediate);
      }
      await new Promise(setImmediate);
      expect(sizes).toEqual([1]);
      send('4');
      await eventually(() => expect(sizes).toEqual([1, 3]));
      await dispatcher.drain();
    });

    it('runs a smaller batch when the linger is over', async () => {
      const { dispatcher, sizes, send } = await afterFirst(true, { ...hours, firstMs: 20 });
      send('2');
      await eventually(() => expect(sizes).toEqual([1, 1]));
      await dispatcher.drain();
    });

    const none = { firstMs: 0, maxMs: 0, lingerMs: 0, lingerPerEntryMs: 0, offlineMs: 0 };

    it('waits a moment for what the bus has held back for lack of places, if the batch was full', async () => {
      const { dispatcher, sizes, send } = await afterFirst(true, none, { prefetch: 4 });
      for (const entityId of ['2', '3', '4']) send(entityId);
      await eventually(() => expect(sizes).toEqual([1, 3]));
      send('5');
      for (let turns = 0; turns < 3; turns++) await new Promise(setImmediate);
      send('6');
      await eventually(() => expect(sizes).toEqual([1, 3, 2]));
      await dispatcher.drain();
    });

    it('does not wait after a full batch, if the lane had places left', async () => {
      const { dispatcher, sizes, send } = await afterFirst(true, none);
      for (const entityId of ['2', '3', '4']) send(entityId);
      await eventually(() => expect(sizes).toEqual([1, 3]));
      send('5');
      for (let turns = 0; turns < 3; turns++) await new Promise(setImmediate);
      send('6');
      await eventually(() => expect(sizes).toEqual([1, 3, 1, 1]));
      await dispatcher.drain();
    });

    it('does not delay the other portals', async () => {
      const { dispatcher, sizes } = await afterFirst(true);
      dispatcher.receive(recorded(anEvent({ memberId: 'another' })).delivery);
      await eventually(() => expect(sizes).toEqual([1, 1]));
      await dispatcher.drain();
    });

    it('lingers for a moment only when something comes that is not merged', async () => {
      const seen: string[] = [];
      const note: Handle = async ({ entries }) => {
        seen.push(...entries.map(({ entityId }) => String(entityId)));
        return [];
      };
      const handlers = [handler(note), handler(note, ['ONIMBOTMESSAGEADD'], false)];
      const batching = { ...hours, lingerMs: 20, lingerPerEntryMs: 3_600_000 };
      const dispatcher = dispatch(handlers, { batching });
      dispatcher.receive(recorded(anEvent({ entityId: '1' })).delivery);
      await eventually(() => expect(seen).toEqual(['1']));
      dispatcher.receive(recorded(anEvent({ entityId: '2' })).delivery);
      await new Promise(setImmediate);
      const message = recorded(anEvent({ entityId: '3', name: 'ONIMBOTMESSAGEADD' }));
      dispatcher.receive(message.delivery);
      await eventually(() => expect(seen).toEqual(['1', '2', '3']));
      await dispatcher.drain();
    });

    it('does not linger for events with data, which are not merged', async () => {
      const { dispatcher, sizes, send } = await afterFirst(false);
      send('2');
      await eventually(() => expect(sizes).toEqual([1, 1]));
      await dispatcher.drain();
    });
  });

  describe('with events of the offline queue, which are late anyway', () => {
    const batching = { firstMs: 0, maxMs: 0, lingerMs: 0, lingerPerEntryMs: 0, offlineMs: 3_600_000 };

    function gathering(merge = true, offlineMs = batching.offlineMs) {
      const sizes: number[] = [];
      const note: Handle = async ({ entries }) => {
        sizes.push(entries.length);
        return [];
      };
      const dispatcher = dispatch([{ ...handler(note, undefined, merge), maxEntries: 3 }], {
        batching: { ...batching, offlineMs },
      });
      const send = async (entityId: string, source?: 'offline', memberId = 'm1'): Promise<void> => {
        dispatcher.receive(recorded(anEvent({ entityId, source, memberId })).delivery);
        await new Promise(setImmediate);
        await new Promise(setImmediate);
      };
      return { dispatcher, sizes, send };
    }

    it('waits until their batch is full, for one after the other', async () => {
      const { dispatcher, sizes, send } = gathering();
      for (const entityId of ['1', '2', '3', '4', '5']) await send(entityId, 'offline');
      expect(sizes).toEqual([3]);
      await send('6', 'offline');
      await eventually(() => expect(sizes).toEqual([3, 3]));
      await dispatcher.drain();
    });

    it('waits for nothing any more when another event of the portal comes, and keeps no other portal waiting', async () => {
      const { dispatcher, sizes, send } = gathering();
      await send('1', 'offline');
      await send('1', undefined, 'm2');
      await eventually(() => expect(sizes).toEqual([1]));
      await send('2');
      await eventually(() => expect(sizes).toEqual([1, 2]));
      await dispatcher.drain();
    });

    it('waits for a moment only, and not for those that cannot be merged', async () => {
      const short = gathering(true, 20);
      await short.send('1', 'offline');
      await eventually(() => expect(short.sizes).toEqual([1]));
      const single = gathering(false);
      await single.send('1', 'offline');
      await eventually(() => expect(single.sizes).toEqual([1]));
      await Promise.all([short.dispatcher.drain(), single.dispatcher.drain()]);
    });

    it('drains at once', async () => {
      const { dispatcher, sizes, send } = gathering();
      await send('1', 'offline');
      await dispatcher.drain();
      expect(sizes).toEqual([]);
    });
  });

  describe('with a portal that has to wait', () => {
    const busy = { code: 'QUERY_LIMIT_EXCEEDED', recovery: 'wait', retryAfterMs: 20 };

    it('retries from the lane, together with later events, and settles nothing meanwhile', async () => {
      const batches: PortalBatch[] = [];
      const later = recorded(anEvent({ entityId: '83' }));
      const dispatcher = dispatch([
        handler(async (batch) => {
          batches.push(batch);
          if (batches.length === 1) dispatcher.receive(later.delivery);
          if (batches.length < 3) throw busy;
          return [];
        }),
      ]);
      const first = recorded(anEvent({ entityId: '82' }));
      dispatcher.receive(first.delivery);
      await eventually(() => {
        expect([first, later].map(({ receipt }) => receipt.settled)).toEqual([
          [{ as: 'done' }],
          [{ as: 'done' }],
        ]);
      });
      expect(batches.map(({ entries }) => entries.map(({ entityId }) => entityId))).toEqual([
        ['82'],
        ['82', '83'],
        ['82', '83'],
      ]);
    });

    it('retries at once when it is woken, and no other portal does', async () => {
      const calls: string[] = [];
      const dispatcher = dispatch([
        handler(async ({ memberId }) => {
          calls.push(memberId);
          if (calls.length < 3) throw { ...busy, retryAfterMs: 30_000 };
          return [];
        }),
      ]);
      const sent = ['one', 'other'].map((memberId) => recorded(anEvent({ memberId })));
      for (const { delivery } of sent) dispatcher.receive(delivery);
      await eventually(() => expect(calls.toSorted()).toEqual(['one', 'other']));
      await eventually(() => {
        dispatcher.wake('one');
        expect(sent.map(({ receipt }) => receipt.settled)).toEqual([[{ as: 'done' }], []]);
      });
      expect(calls.slice(2)).toEqual(['one']);
    });

    it('keeps only the entries that have to wait', async () => {
      let calls = 0;
      const dispatcher = dispatch([
        handler(async () => (++calls === 1 ? [{ entity: 'CRMCONTACT:2', error: busy }] : [])),
      ]);
      const deliveries = ['1', '2'].map((entityId) => recorded(anEvent({ entityId })));
      for (const { delivery } of deliveries) dispatcher.receive(delivery);
      await eventually(() =>
        expect(deliveries.map(({ receipt }) => receipt.settled)).toEqual([
          [{ as: 'done' }],
          [{ as: 'done' }],
        ]),
      );
      expect(calls).toBe(2);
    });

    it('defers the whole lane when its wait budget is spent, without counting an attempt', async () => {
      let calls = 0;
      const more = recorded(anEvent({ entityId: '83' }));
      const dispatcher = dispatch(
        [
          handler(async () => {
            calls += 1;
            if (calls === 1) dispatcher.receive(more.delivery);
            throw busy;
          }),
        ],
        { holdMs: 90 },
      );
      const first = recorded(anEvent({ entityId: '82' }));
      dispatcher.receive(first.delivery);
      const failure = { code: 'QUERY_LIMIT_EXCEEDED' };
      await eventually(() => {
        for (const { receipt } of [first, more]) {
          expect(receipt.settled).toMatchObject([
            { as: 'retry', afterMs: 20, countsAsAttempt: false, failure },
          ]);
        }
      });
      expect(calls).toBeGreaterThan(1);
      expect(calls).toBeLessThan(6);
    });

    it('defers an entry at once whose wait exceeds the budget, and goes on with the others of its portal', async () => {
      const later = recorded(anEvent({ entityId: '2' }));
      const suspended = { code: 'PORTAL_SUSPENDED', recovery: 'wait', retryAfterMs: 60_001 };
      let calls = 0;
      const dispatcher = dispatch(
        [
          handler(async ({ entries }) => {
            if (++calls > 1) return [];
            dispatcher.receive(later.delivery);
            return entries.map(({ entity }) => ({ entity, error: suspended }));
          }),
        ],
        { holdMs: 60_000 },
      );
      const first = recorded(anEvent({ entityId: '1' }));
      dispatcher.receive(first.delivery);
      await eventually(() => {
        expect(first.receipt.settled).toMatchObject([
          { as: 'retry', afterMs: 60_001, countsAsAttempt: false, failure: { code: 'PORTAL_SUSPENDED' } },
        ]);
        // Not failed with the error of another entry.
        expect(later.receipt.settled).toEqual([{ as: 'done' }]);
      });
      await dispatcher.drain();
    });

    it('lets the others go on', async () => {
      const dispatcher = dispatch(
        [
          handler(async ({ memberId }) => {
            if (memberId === 'busy') throw { ...busy, retryAfterMs: 30_000 };
            return [];
          }),
        ],
        { maxBatches: 1 },
      );
      const [waits, goesOn] = ['busy', 'quiet'].map((memberId) => recorded(anEvent({ memberId })));
      for (const sent of [waits, goesOn]) if (sent) dispatcher.receive(sent.delivery);
      await eventually(() => expect(goesOn?.receipt.settled).toEqual([{ as: 'done' }]));
      expect(waits?.receipt.settled).toEqual([]);
      expect(dispatcher.report()).toEqual({ done: 1, largest: [{ memberId: 'busy', events: 1 }] });
      await dispatcher.drain();
      expect(waits?.receipt.settled).toEqual([]);
    });
  });

  describe('with entries that their handler postpones', () => {
    it('gives them first in the next batch, merged with what has come since, and settles nothing before', async () => {
      const [done, first, second, third] = contacts('1', '2', '3', '4');
      const since = recorded(anEvent({ entityId: '3', name: 'ONCRMCONTACTADD' }));
      const between = deferred<void>();
      const { dispatcher, batches } = dispatching([
        async () => {
          for (const sent of [third, since]) if (sent) dispatcher.receive(sent.delivery);
          return postpone('2', '3');
        },
        () => between.promise.then(() => []),
      ]);
      for (const sent of [done, first, second]) if (sent) dispatcher.receive(sent.delivery);
      await eventually(() => expect(batches).toHaveLength(2));
      expect(batches.map(idsOf)).toEqual([
        ['1', '2', '3'],
        ['2', '3', '4'],
      ]);
      expect(batches[1]?.entries[1]?.names).toEqual(['ONCRMCONTACTUPDATE', 'ONCRMCONTACTADD']);
      expect(done?.receipt.settled).toEqual([{ as: 'done' }]);
      const postponed = [first, second, third, since];
      expect(postponed.map((sent) => sent?.receipt.settled)).toEqual([[], [], [], []]);
      between.resolve();
      await eventually(() => {
        for (const sent of postponed) expect(sent?.receipt.settled).toEqual([{ as: 'done' }]);
      });
    });

    it('says that more waits only while it does, for this handler, and while batches follow', async () => {
      const answers: (boolean | undefined)[] = [];
      const release = deferred<void>();
      const { dispatcher, batches } = dispatching([
        async ({ hasMore }) => {
          answers.push(hasMore?.());
          dispatcher.receive(recorded(anEvent({ memberId: 'another' })).delivery);
          answers.push(hasMore?.());
          dispatcher.receive(recorded(anEvent({ entityId: '83' })).delivery);
          answers.push(hasMore?.());
          await release.promise;
          answers.push(hasMore?.());
          return [];
        },
      ]);
      dispatcher.receive(recorded(anEvent()).delivery);
      await eventually(() => expect(batches).toHaveLength(2));
      const drained = dispatcher.drain();
      release.resolve();
      await drained;
      expect(answers).toEqual([false, false, true, false]);
    });

    it('counts those that wait, and none where an entry of the batch was postponed before', async () => {
      const answers: (boolean | undefined)[][] = [];
      const ask: Handle = async ({ hasMore }) => {
        answers.push([1, 2, 3].map((atLeast) => hasMore?.(atLeast)));
        return answers.length === 1 ? postpone('1') : [];
      };
      const { dispatcher } = dispatching([
        async (batch) => {
          for (const { delivery } of contacts('2', '3')) dispatcher.receive(delivery);
          return ask(batch);
        },
        async (batch) => {
          for (const { delivery } of contacts('4', '5', '6')) dispatcher.receive(delivery);
          return ask(batch);
        },
        ask,
      ]);
      for (const { delivery } of contacts('1')) dispatcher.receive(delivery);
      await eventually(() => expect(answers).toHaveLength(3));
      await dispatcher.drain();
      expect(answers).toEqual([
        [true, true, false],
        [true, false, false],
        [false, false, false],
      ]);
    });

    it('does not say so to a probe of the circuit breaker: the next batch is one entry, too', async () => {
      const answers: (boolean | undefined)[] = [];
      let isDown = true;
      const dispatcher = dispatch([
        handler(async ({ hasMore }) => {
          if (isDown) throw new Error('connect ECONNREFUSED');
          if (dispatcher.state().isPaused) answers.push(hasMore?.());
          return [];
        }),
      ]);
      for (const memberId of ['a', 'b', 'c', 'd', 'e'])
        dispatcher.receive(recorded(anEvent({ memberId })).delivery);
      await eventually(() => expect(dispatcher.state().isPaused).toBe(true));
      isDown = false;
      const sent = contacts('1', '2', '3');
      for (const { delivery } of sent) dispatcher.receive(delivery);
      await eventually(() => {
        for (const { receipt } of sent) expect(receipt.settled).toEqual([{ as: 'done' }]);
      });
      expect(answers).toEqual([false]);
      await dispatcher.drain();
    });

    it('uses an attempt of one that is postponed again, so that none is postponed for ever', async () => {
      const log = new RecordedLog();
      const { dispatcher, batches } = dispatching([async () => postpone('2'), async () => postpone('2')], {
        log,
      });
      const [done, again] = contacts('1', '2');
      for (const sent of [done, again]) if (sent) dispatcher.receive(sent.delivery);
      await eventually(() =>
        expect(again?.receipt.settled).toMatchObject([
          { as: 'retry', afterMs: 5_000, countsAsAttempt: true, failure: { code: 'POSTPONED_AGAIN' } },
        ]),
      );
      expect(batches.map(idsOf)).toEqual([['1', '2'], ['2']]);
      expect(log.read('warn').map(({ fields }) => fields)).toContainEqual(
        expect.objectContaining({ event: 'consumer.entries.failed', failed: 1, of: 1 }),
      );
    });

    it('lets one be postponed again that had to wait for the portal since, behind later ones', async () => {
      const error = { code: 'QUERY_LIMIT_EXCEEDED', recovery: 'wait', retryAfterMs: 20 };
      const sent = contacts('1', '2', '3', '4', '5', '6', '7', '8');
      const { dispatcher, batches } = dispatching([
        async () => {
          for (const { delivery } of sent.slice(5)) dispatcher.receive(delivery);
          return postpone('4', '5');
        },
        async () => [
          { entity: 'CRMCONTACT:4', error },
          { entity: 'CRMCONTACT:5', error },
          ...postpone('7', '8'),
        ],
        async () => postpone('5'),
      ]);
      for (const { delivery } of sent.slice(0, 5)) dispatcher.receive(delivery);
      await eventually(() => {
        for (const { receipt } of sent) expect(receipt.settled).toEqual([{ as: 'done' }]);
      });
      expect(batches.map(idsOf)).toEqual([
        ['1', '2', '3', '4', '5'],
        ['4', '5', '6', '7', '8'],
        ['7', '8', '4', '5'],
        ['5'],
      ]);
    });

    it('keeps them before those that wait for the portal, also where the whole batch has to wait', async () => {
      const busy = { code: 'QUERY_LIMIT_EXCEEDED', recovery: 'wait', retryAfterMs: 20 };
      const { dispatcher, batches } = dispatching([
        async () => [{ entity: 'CRMCONTACT:1', error: busy }, ...postpone('3')],
        async () => {
          dispatcher.receive(recorded(anEvent({ entityId: '4' })).delivery);
          throw busy;
        },
      ]);
      for (const { delivery } of contacts('1', '2', '3')) dispatcher.receive(delivery);
      await eventually(() => expect(batches).toHaveLength(3));
      expect(batches.map(idsOf)).toEqual([
        ['1', '2', '3'],
        ['3', '1'],
        ['3', '1', '4'],
      ]);
      await dispatcher.drain();
    });

    it('lets the other portals go first', async () => {
      const { dispatcher, batches } = dispatching(
        [
          async () => {
            dispatcher.receive(recorded(anEvent({ memberId: 'another' })).delivery);
            return postpone('2');
          },
        ],
        {
          maxBatches: 1,
          batching: { firstMs: 0, maxMs: 0, lingerMs: 0, lingerPerEntryMs: 0, offlineMs: 0 },
        },
      );
      for (const { delivery } of contacts('1', '2')) dispatcher.receive(delivery);
      await eventually(() => expect(batches).toHaveLength(3));
      expect(batches.map(idsOf)).toEqual([['1', '2'], ['82'], ['2']]);
      await dispatcher.drain();
    });

    it('leaves them to the bus when it is drained, as they came', async () => {
      const { dispatcher, batches } = dispatching([
        async () => {
          void dispatcher.drain();
          return postpone('2');
        },
      ]);
      const [done, postponed] = contacts('1', '2');
      for (const sent of [done, postponed]) if (sent) dispatcher.receive(sent.delivery);
      await eventually(() => expect(done?.receipt.settled).toEqual([{ as: 'done' }]));
      await dispatcher.drain();
      expect(postponed?.receipt.settled).toEqual([]);
      expect(batches).toHaveLength(1);
    });

    it('makes nothing done when one of them is not in the batch', async () => {
      const { dispatcher } = dispatching([async () => postpone('83')]);
      const [sent] = contacts('82');
      if (sent) dispatcher.receive(sent.delivery);
      await eventually(() =>
        expect(sent?.receipt.settled).toMatchObject([{ as: 'retry', failure: { code: 'UNKNOWN_ENTRY' } }]),
      );
    });
  });

  it('defers events beyond the share of one portal, without a failure, and takes the others', async () => {
    const release = deferred<void>();
    const dispatcher = dispatch([handler(() => release.promise.then(() => []))], {
      prefetch: 4,
      retryDelaysMs: [500],
    });
    const flood = Array.from({ length: 5 }, (_, id) => recorded(anEvent({ entityId: String(id) })));
    const quiet = recorded(anEvent({ memberId: 'quiet' }));
    for (const { delivery } of [...flood, quiet]) dispatcher.receive(delivery);
    expect(flood.map(({ receipt }) => receipt.settled)).toEqual([
      [],
      [],
      [],
      [{ as: 'defer', afterMs: 5_000 }],
      [{ as: 'defer', afterMs: 5_000 }],
    ]);
    expect(dispatcher.state()).toMatchObject({ waiting: 4, deferred: 2 });
    await eventually(() => expect(dispatcher.state().deferred).toBe(0));
    release.resolve();
    await eventually(() => expect(quiet.receipt.settled).toEqual([{ as: 'done' }]));
  });

  it('defers what was in a batch just now for longer, and for what was in none', async () => {
    const release = deferred<void>();
    const dispatcher = dispatch([handler(() => release.promise.then(() => []))], { prefetch: 4 });
    const send = (entityId: string) => {
      const { delivery, receipt } = recorded(anEvent({ entityId, receivedAt: Date.now() }));
      dispatcher.receive(delivery);
      return receipt.settled;
    };
    const inFlight = send('1');
    await eventually(() => expect(dispatcher.state().batches).toBe(1));
    const [repeat, fresh, further, again, last] = ['1', '2', '3', '1', '4'].map(send);
    expect([inFlight, repeat, fresh, further, again, last]).toEqual([
      [],
      [{ as: 'defer', afterMs: 30_000 }],
      [],
      [],
      [{ as: 'defer', afterMs: 30_000 }],
      [{ as: 'defer', afterMs: 5_000 }],
    ]);
    release.resolve();
    await eventually(() =>
      expect([inFlight, fresh, further]).toEqual([[{ as: 'done' }], [{ as: 'done' }], [{ as: 'done' }]]),
    );
    await dispatcher.drain();
  });

  it('defers an event whose data one portal has no room for, and takes those without, and of others', async () => {
    const entries: PortalBatch['entries'] = [];
    const dispatcher = dispatch([
      handler(async (batch) => {
        entries.push(...batch.entries);
        return [];
      }),
    ]);
    const taken = [
      withMuchData('1'),
      recorded(anEvent({ memberId: 'flood', entityId: '3' })),
      withMuchData('1', 'other'),
    ];
    const excess = withMuchData('2');
    for (const { delivery } of [...taken.slice(0, 1), excess, ...taken.slice(1)])
      dispatcher.receive(delivery);
    await eventually(() => {
      for (const { receipt } of taken) expect(receipt.settled).toEqual([{ as: 'done' }]);
    });
    expect(excess.receipt.settled).toEqual([{ as: 'defer', afterMs: 30_000 }]);
    expect(entries.map(({ entityId, data }) => [entityId, data !== undefined])).toEqual([
      ['1', true],
      ['3', false],
      ['1', true],
    ]);
  });

  it('defers what all portals together have no room for, for longer, and takes what is small', async () => {
    const release = deferred<void>();
    const dispatcher = dispatch([handler(() => release.promise.then(() => []))]);
    // Each takes 6 MB of memory.
    const sent = Array.from({ length: 12 }, (_, portal) => withMuchData('1', `portal-${portal}`));
    for (const { delivery } of sent) dispatcher.receive(delivery);
    expect(sent.map(({ receipt }) => receipt.settled)).toEqual([
      ...Array.from({ length: 10 }, () => []),
      [{ as: 'defer', afterMs: 30_000 }],
      [{ as: 'defer', afterMs: 30_000 }],
    ]);
    const small = recorded(anEvent({ memberId: 'small', data: { FIELDS: { ID: '1', TEXT: 'x' } } }));
    dispatcher.receive(small.delivery);
    release.resolve();
    await eventually(() => expect(small.receipt.settled).toEqual([{ as: 'done' }]));
    const again = withMuchData('1', 'portal-11');
    dispatcher.receive(again.delivery);
    await eventually(() => expect(again.receipt.settled).toEqual([{ as: 'done' }]));
    await dispatcher.drain();
  });

  it('counts the arrays in which V8 keeps the values of keys that are numbers', async () => {
    const release = deferred<void>();
    const dispatcher = dispatch([handler(() => release.promise.then(() => []))]);
    // 14 kB of a form, and 14 MB in memory.
    const many = Object.fromEntries(Array.from({ length: 990 }, (_, index) => [`k${index}`, { 999: '' }]));
    const sent = ['1', '2'].map((entityId) =>
      recorded(anEvent({ entityId, data: { FIELDS: { ID: entityId }, a: many } })),
    );
    for (const { delivery } of sent) dispatcher.receive(delivery);
    expect(sent.map(({ receipt }) => receipt.settled)).toEqual([[], [{ as: 'defer', afterMs: 30_000 }]]);
    release.resolve();
    await dispatcher.drain();
  });

  it('leaves room for another portal, however many take what they can get', async () => {
    const release = deferred<void>();
    const dispatcher = dispatch([handler(() => release.promise.then(() => []))]);
    const sendLarge = (memberId: string, entityId: string) => {
      const large = recorded(
        anEvent({ memberId, entityId, data: { FIELDS: { ID: entityId, TEXT: 'x'.repeat(250_000) } } }),
      );
      dispatcher.receive(large.delivery);
      return large.receipt.settled;
    };
    for (let id = 0; id < 100; id++)
      for (let portal = 0; portal < 20; portal++) sendLarge(`greedy-${portal}`, `${id}`);
    expect(sendLarge('another', '1')).toEqual([]);
    release.resolve();
    await dispatcher.drain();
  });

  it('counts the large messages of events that are merged', async () => {
    const release = deferred<void>();
    const dispatcher = dispatch([handler(() => release.promise.then(() => []))]);
    const sent = Array.from({ length: 40 }, () => recorded(anEvent({ entityId: '1' })));
    for (const { delivery, receipt } of sent) {
      receipt.heldBytes = 250_000;
      dispatcher.receive(delivery);
    }
    const deferrals = sent.filter(({ receipt }) => receipt.settled.length > 0);
    expect(deferrals).toHaveLength(40 - Math.floor((8 * 1024 * 1024) / 250_000));
    release.resolve();
    await dispatcher.drain();
  });

  it('counts in-flight events towards the share of a portal, and has room again when they are done', async () => {
    const release = [deferred<void>(), deferred<void>()];
    let calls = 0;
    const dispatcher = dispatch(
      [handler(() => release[calls++]?.promise.then(() => []) ?? succeed(noBatch))],
      {
        prefetch: 3,
      },
    );
    const [first, second, third, fourth] = ['1', '2', '3', '4'].map((entityId) =>
      recorded(anEvent({ entityId })),
    );
    for (const sent of [first, second]) if (sent) dispatcher.receive(sent.delivery);
    await eventually(() => expect(calls).toBe(1));
    if (third) dispatcher.receive(third.delivery);
    expect(third?.receipt.settled).toEqual([{ as: 'defer', afterMs: 5_000 }]);
    release[0]?.resolve();
    await eventually(() => expect(second?.receipt.settled).toEqual([{ as: 'done' }]));
    if (fourth) dispatcher.receive(fourth.delivery);
    release[1]?.resolve();
    await eventually(() => expect(fourth?.receipt.settled).toEqual([{ as: 'done' }]));
    await dispatcher.drain();
  });

  it('does not count messages that have returned to the bus towards the share of a portal', async () => {
    const release = deferred<void>();
    const dispatcher = dispatch([handler(() => release.promise.then(() => []))], { prefetch: 3 });
    const gone = ['1', '2'].map((entityId) => recorded(anEvent({ entityId })));
    for (const { delivery } of gone) dispatcher.receive(delivery);
    for (const { receipt } of gone) receipt.lost = true;
    const again = recorded(anEvent({ entityId: '1' }));
    dispatcher.receive(again.delivery);
    release.resolve();
    await eventually(() => expect(again.receipt.settled).toEqual([{ as: 'done' }]));
  });

  it('opens the circuit breaker when everything fails, probes with one event at a time, and closes it on success', async () => {
    let isDown = true;
    const sizes: number[] = [];
    const dispatcher = dispatch([
      handler(async ({ entries }) => {
        sizes.push(entries.length);
        if (isDown) throw new Error('connect ECONNREFUSED');
        return [];
      }),
    ]);
    const portals = ['a', 'b', 'c', 'd', 'e'];
    const first = portals.map((memberId) => recorded(anEvent({ memberId })));
    for (const { delivery } of first) dispatcher.receive(delivery);
    await eventually(() => expect(dispatcher.state().isPaused).toBe(true));
    const backlog = portals.flatMap((memberId) =>
      Array.from({ length: 100 }, (_, id) => recorded(anEvent({ memberId, entityId: String(id) }))),
    );
    for (const { delivery } of backlog) dispatcher.receive(delivery);
    await eventually(() => expect(sizes.length).toBeGreaterThan(5));
    const tried = backlog.filter(({ receipt }) => receipt.settled.length > 0);
    expect(tried.length).toBeLessThan(3);
    expect(sizes.slice(5).every((size) => size === 1)).toBe(true);
    isDown = false;
    await eventually(() => expect(backlog.filter(({ receipt }) => receipt.settled.length === 0)).toEqual([]));
    expect(dispatcher.state().isPaused).toBe(false);
    expect(backlog.filter(({ receipt }) => receipt.settled[0]?.as === 'retry').length).toBeLessThan(4);
    await dispatcher.drain();
  });

  it('does not begin suspect batches while the crash log is unavailable, and spends no attempt on them', async () => {
    const crashLog = new MemoryCrashLog();
    const begin = crashLog.begin.bind(crashLog);
    let isAway = true;
    crashLog.begin = (memberId) => (isAway ? Promise.reject(new Error('no database')) : begin(memberId));
    const seen: PortalBatch[] = [];
    const note: Handle = async (batch) => {
      seen.push(batch);
      return [];
    };
    const dispatcher = dispatch([handler(note)], { crashLog });
    const { delivery, receipt } = recorded(anEvent());
    receipt.deliveryCount = 1;
    dispatcher.receive(delivery);
    await eventually(() => expect(dispatcher.state().isPaused).toBe(true));
    expect(seen).toEqual([]);
    isAway = false;
    await eventually(() => expect(receipt.settled).toEqual([{ as: 'done' }]));
    expect(crashLog.rows.size).toBe(0);
    await dispatcher.drain();
  });

  it('does not retry the crash log in a busy loop while other portals are handled', async () => {
    const crashLog = new MemoryCrashLog();
    let asked = 0;
    crashLog.begin = () => {
      asked += 1;
      return Promise.reject(new Error('no database'));
    };
    const dispatcher = dispatch([handler(succeed)], { crashLog });
    const suspicious = recorded(anEvent({ memberId: 'suspicious' }));
    suspicious.receipt.deliveryCount = 1;
    dispatcher.receive(suspicious.delivery);
    for (let round = 0; round < 50; round += 1) {
      const innocent = recorded(anEvent({ memberId: `innocent-${round}` }));
      dispatcher.receive(innocent.delivery);
      await eventually(() => expect(innocent.receipt.settled).toEqual([{ as: 'done' }]));
    }
    expect(asked).toBeGreaterThan(0);
    expect(asked).toBeLessThan(10);
    expect(suspicious.receipt.settled).toEqual([]);
    await dispatcher.drain();
  });

  it('logs that a handler does not end and its portal waits', async () => {
    const log = new RecordedLog();
    const dispatcher = dispatch([handler(() => new Promise(() => undefined))], {
      log,
      drainWithinMs: 20,
      handlerNoticeMs: 10,
    });
    dispatcher.receive(recorded(anEvent({ memberId: 'portal-of-it' })).delivery);
    await eventually(() =>
      expect(log.read('error').map(({ fields }) => fields)).toContainEqual(
        expect.objectContaining({
          memberId: 'portal-of-it',
          events: ['ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE'],
        }),
      ),
    );
    await dispatcher.drain();
  });

  it('drains in time even if a handler hangs', async () => {
    const dispatcher = dispatch([handler(() => new Promise(() => undefined))], { drainWithinMs: 20 });
    const { delivery, receipt } = recorded(anEvent());
    dispatcher.receive(delivery);
    await eventually(() => expect(dispatcher.state().batches).toBe(1));
    await dispatcher.drain();
    expect(receipt.settled).toEqual([]);
  });

  it('runs small batches while sixteen thousand entries are in flight, and large ones again after that', async () => {
    const sizes: number[] = [];
    const release = deferred<void>();
    const dispatcher = dispatch(
      [
        handler(async ({ entries }) => {
          sizes.push(entries.length);
          await release.promise;
          return [];
        }),
      ],
      {
        prefetch: 12_500,
        batching: { firstMs: 0, maxMs: 0, lingerMs: 0, lingerPerEntryMs: 0, offlineMs: 0 },
      },
    );
    const large = 2_500;
    for (let portal = 0; portal < 9; portal++) {
      for (let id = 0; id < large; id++) {
        dispatcher.receive(recorded(anEvent({ memberId: `p${portal}`, entityId: String(id) })).delivery);
      }
    }
    await eventually(() => expect(sizes).toHaveLength(9));
    // Seven large batches have 17,500 entries.
    expect(sizes).toEqual([...Array.from({ length: 7 }, () => large), 50, 50]);
    release.resolve();
    await eventually(() => expect(sizes.slice(9)).toEqual([large - 50, large - 50]));
    await dispatcher.drain();
  });

  it('limits the batches in flight', async () => {
    let inFlight = 0;
    let most = 0;
    const dispatcher = dispatch(
      [
        handler(async () => {
          most = Math.max(most, ++inFlight);
          await new Promise(setImmediate);
          inFlight -= 1;
          return [];
        }),
      ],
      { maxBatches: 3 },
    );
    const deliveries = Array.from({ length: 20 }, (_, portal) =>
      recorded(anEvent({ memberId: `portal${portal}` })),
    );
    for (const { delivery } of deliveries) dispatcher.receive(delivery);
    await eventually(() =>
      expect(deliveries.every(({ receipt }) => receipt.settled.length === 1)).toBe(true),
    );
    expect(most).toBe(3);
  });

  it('gives a suffixed event to its own handler, before the one for every type', async () => {
    const seen: string[] = [];
    const name = 'ONCRMDYNAMICITEMADD';
    const note =
      (who: string): Handle =>
      async ({ entries }) => {
        seen.push(...entries.map(({ entityTypeId }) => `${who} ${entityTypeId}`));
        return [];
      };
    const dispatcher = dispatch([handler(note('any'), [name]), handler(note('147'), [`${name}_147`])]);
    for (const entityTypeId of [147, 148]) {
      dispatcher.receive(recorded(anEvent({ name, entityTypeId, entity: `X_${entityTypeId}:1` })).delivery);
    }
    await eventually(() => expect(seen.toSorted()).toEqual(['147 147', 'any 148']));
  });

  it('retries what it has no handler for: a newer version of the consumer may have one', async () => {
    const dispatcher = dispatch([handler(succeed)]);
    const { delivery, receipt } = recorded(anEvent({ name: 'ONCRMDEALADD' }));
    dispatcher.receive(delivery);
    await eventually(() => {
      expect(receipt.settled).toMatchObject([{ as: 'retry', failure: { code: 'NO_HANDLER' } }]);
    });
  });

  it('does not handle messages that have returned to the bus', async () => {
    const seen: PortalBatch[] = [];
    const dispatcher = dispatch([
      handler(async (batch) => {
        seen.push(batch);
        return [];
      }),
    ]);
    const { delivery, receipt } = recorded(anEvent({ entityId: '1' }));
    dispatcher.receive(delivery);
    receipt.lost = true;
    dispatcher.receive(recorded(anEvent({ memberId: 'another' })).delivery);
    await eventually(() => expect(seen).toHaveLength(1));
    expect(seen[0]?.memberId).toBe('another');
  });

  it('finishes batches in flight when it is drained, and starts nothing more', async () => {
    const release = deferred<void>();
    const started: PortalBatch[] = [];
    const dispatcher = dispatch([
      handler(async (batch) => {
        started.push(batch);
        await release.promise;
        return [];
      }),
    ]);
    const inFlight = recorded(anEvent());
    const pending = recorded(anEvent());
    dispatcher.receive(inFlight.delivery);
    await eventually(() => expect(started).toHaveLength(1));
    dispatcher.receive(pending.delivery);
    const drained = dispatcher.drain();
    release.resolve();
    await drained;
    expect(inFlight.receipt.settled).toEqual([{ as: 'done' }]);
    await new Promise(setImmediate);
    expect(started).toHaveLength(1);
    expect(pending.receipt.settled).toEqual([]);
  });
});

describe('a batch that failed as a whole', () => {
  afterEach(() => {
    jest.useRealTimers();
  });

  it('is one batch again when its retries come back one by one', async () => {
    jest.useFakeTimers();
    const batches: number[] = [];
    const dispatcher = dispatch([
      handler(async ({ entries }) => {
        batches.push(entries.length);
        if (batches.length === 1) throw Object.assign(new Error('down'), { recovery: 'retry' });
        return [];
      }),
    ]);
    const ids = Array.from({ length: 50 }, (_, id) => String(id));
    for (const entityId of ids) dispatcher.receive(recorded(anEvent({ entityId })).delivery);
    // The first tier.
    await jest.advanceTimersByTimeAsync(5_000);
    const again = ids.map((entityId) => recorded(anEvent({ entityId }), 1));
    for (const { delivery } of again) {
      dispatcher.receive(delivery);
      await jest.advanceTimersByTimeAsync(5);
    }
    await jest.advanceTimersByTimeAsync(1_000);
    expect(batches).toEqual([50, 50]);
    for (const { receipt } of again) expect(receipt.settled).toEqual([{ as: 'done' }]);
  });
});

describe('a lane', () => {
  afterEach(() => {
    jest.useRealTimers();
  });

  it('does not wait for events that come back to no lane, because nothing here handles them', async () => {
    jest.useFakeTimers();
    const dispatcher = dispatch([handler(succeed)]);
    const unhandled = Array.from({ length: 600 }, () => recorded(anEvent({ name: 'ONCRMDEALADD' })));
    for (const { delivery } of unhandled) dispatcher.receive(delivery);
    await jest.advanceTimersByTimeAsync(4_000);
    const { delivery, receipt } = recorded(anEvent());
    dispatcher.receive(delivery);
    await jest.advanceTimersByTimeAsync(100);
    expect(receipt.settled).toEqual([{ as: 'done' }]);
    await dispatcher.drain();
  });

  it('waits half a second at most for events that come back, when something waits that is not merged', async () => {
    jest.useFakeTimers();
    let hasFailed = false;
    const failOnce: Handle = async () => {
      if (hasFailed) return [];
      hasFailed = true;
      throw Object.assign(new Error('down'), { recovery: 'retry' });
    };
    const dispatcher = dispatch([handler(failOnce, undefined, false)]);
    for (let id = 0; id < 600; id++) dispatcher.receive(recorded(anEvent({ entityId: `${id}` })).delivery);
    // They come back five seconds later, and are worth a wait of six.
    await jest.advanceTimersByTimeAsync(1_000);
    const { delivery, receipt } = recorded(anEvent());
    dispatcher.receive(delivery);
    await jest.advanceTimersByTimeAsync(520);
    expect(receipt.settled).toEqual([{ as: 'done' }]);
    await dispatcher.drain();
  });

  it('waits for seconds at most before its next batch, however many events come back one after another', async () => {
    jest.useFakeTimers();
    let fails = true;
    const handle: Handle = async ({ entries }) =>
      fails ? entries.map(({ entity }) => ({ entity, error: new Error('down') })) : [];
    const dispatcher = dispatch([
      handler(handle, ['ONCRMDEALADD'], false),
      handler(succeed, ['ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE']),
    ]);
    // They fail for half a minute, and their second attempt is half a minute later: those come to another process.
    for (let at = 0; at < 29_500; at += 250) {
      const sent = Array.from({ length: 25 }, () => recorded(anEvent({ name: 'ONCRMDEALADD' }), 1));
      for (const { delivery } of sent) dispatcher.receive(delivery);
      const healthy = recorded(anEvent({ memberId: 'another' }));
      dispatcher.receive(healthy.delivery);
      await jest.advanceTimersByTimeAsync(250);
    }
    fails = false;
    await jest.advanceTimersByTimeAsync(600);
    const { delivery, receipt } = recorded(anEvent());
    dispatcher.receive(delivery);
    await jest.advanceTimersByTimeAsync(7_500);
    expect(receipt.settled).toEqual([{ as: 'done' }]);
    await dispatcher.drain();
  });

  it('waits for events at the time at which the bus brings them back, not before', async () => {
    jest.useFakeTimers();
    let error: Error | undefined = Object.assign(new Error('busy'), {
      recovery: 'wait',
      retryAfterMs: 10_000,
    });
    const handle: Handle = ({ entries }) =>
      Promise.resolve(error ? entries.map(({ entity }) => ({ entity, error })) : []);
    const dispatcher = dispatch([handler(handle)], { holdMs: 1_000 });
    for (let id = 1; id <= 600; id++) dispatcher.receive(recorded(anEvent({ entityId: `${id}` })).delivery);
    await jest.advanceTimersByTimeAsync(9_000);
    error = undefined;
    const { delivery, receipt } = recorded(anEvent());
    dispatcher.receive(delivery);
    await jest.advanceTimersByTimeAsync(100);
    expect(receipt.settled).toEqual([{ as: 'done' }]);
    await dispatcher.drain();
  });
});

describe('a process that was frozen', () => {
  afterEach(() => {
    jest.useRealTimers();
  });

  it('begins no batch until it can know that its shards have another owner', async () => {
    jest.useFakeTimers();
    const release = deferred<void>();
    const { dispatcher, batches } = dispatching([
      async () => {
        await release.promise;
        return [];
      },
    ]);
    const [first, returned, later] = contacts('1', '2', '3');
    if (!first || !returned || !later) throw new Error('there are three');
    dispatcher.receive(first.delivery);
    await jest.advanceTimersByTimeAsync(10);
    dispatcher.receive(returned.delivery);
    jest.setSystemTime(Date.now() + 15_000);
    release.resolve();
    await jest.advanceTimersByTimeAsync(900);
    expect(batches.map(idsOf)).toEqual([['1']]);
    // Its connection has ended meanwhile.
    returned.receipt.lost = true;
    dispatcher.receive(later.delivery);
    await jest.advanceTimersByTimeAsync(200);
    expect(batches.map(idsOf)).toEqual([['1'], ['3']]);
    await dispatcher.drain();
  });
});
