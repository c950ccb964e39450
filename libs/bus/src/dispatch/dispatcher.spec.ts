import { describe, expect, it } from '@jest/globals';
import { silentLog } from '@relay/platform';
import { eventually } from '../../../../test/support/eventually.js';
import type { PortalBatch } from './batch.js';
import { deferred } from '../deferred.js';
import { Dispatcher, type DispatcherOptions, type EventHandler } from './dispatcher.js';
import { anEvent } from '../../testing/events.js';
import { recorded } from '../../testing/recorded-delivery.js';

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
  new Dispatcher({ consumer: 'test', handlers, log: silentLog, ...options });

const succeed: Handle = async () => [];

const heldFor = (days: number) => recorded(anEvent(), 0, Date.now() - days * 24 * 3_600_000);

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
          error: { code: 'QUERY_LIMIT_EXCEEDED', recovery: 'wait', retryAfterMs: 7_000 },
        },
        { entity: 'CRMCONTACT:3', error: { code: 'ACCESS_DENIED', recovery: 'never' } },
      ]),
    ]);
    const deliveries = ['1', '2', '3'].map((entityId) => recorded(anEvent({ entityId })));
    for (const { delivery } of deliveries) dispatcher.receive(delivery);
    await eventually(() => {
      expect(deliveries.map(({ receipt }) => receipt.settled)).toMatchObject([
        [{ as: 'done' }],
        [{ as: 'retry', afterMs: 7_000, countsAsAttempt: false, failure: { code: 'QUERY_LIMIT_EXCEEDED' } }],
        [{ as: 'dead', failure: { code: 'ACCESS_DENIED' } }],
      ]);
    });
  });

  it('puts what was held for too long among the dead letters, with the last reason', async () => {
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

  it('never has two batches of one portal in hand, and goes on with what came meanwhile', async () => {
    const inHand: PortalBatch[] = [];
    const release = [deferred<void>(), deferred<void>()];
    const dispatcher = dispatch([
      handler(async (batch) => {
        inHand.push(batch);
        await release[inHand.length - 1]?.promise;
        return [];
      }),
    ]);
    const [first, second, elsewhere] = [
      recorded(anEvent()),
      recorded(anEvent()),
      recorded(anEvent({ memberId: 'another' })),
    ];
    dispatcher.receive(first.delivery);
    await eventually(() => expect(inHand).toHaveLength(1));
    dispatcher.receive(second.delivery);
    dispatcher.receive(elsewhere.delivery);
    await eventually(() =>
      expect(inHand.map(({ memberId }) => memberId)).toEqual([anEvent().memberId, 'another']),
    );
    release[1]?.resolve();
    await eventually(() => expect(elsewhere.receipt.settled).toHaveLength(1));
    expect(second.receipt.settled).toEqual([]);
    release[0]?.resolve();
    await eventually(() => expect(second.receipt.settled).toEqual([{ as: 'done' }]));
  });

  describe('after a batch', () => {
    const hours = { firstMs: 3_600_000, mostMs: 3_600_000, aloneMs: 3_600_000, eachMs: 0 };

    /** A dispatcher that has handled one event of the portal, and the sizes of its batches. */
    async function afterFirst(
      merge: boolean,
      gathering = hours,
    ): Promise<{ dispatcher: Dispatcher; sizes: number[]; send: (entityId: string) => void }> {
      const sizes: number[] = [];
      const note: Handle = async ({ entries }) => {
        sizes.push(entries.length);
        return [];
      };
      const dispatcher = dispatch([{ ...handler(note, undefined, merge), maxEntries: 3 }], { gathering });
      const send = (entityId: string): void => dispatcher.receive(recorded(anEvent({ entityId })).delivery);
      send('1');
      await eventually(() => expect(sizes).toEqual([1]));
      return { dispatcher, sizes, send };
    }

    it('gathers what comes, until a batch is full', async () => {
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

    it('goes on with fewer when the time is over', async () => {
      const { dispatcher, sizes, send } = await afterFirst(true, { ...hours, firstMs: 20 });
      send('2');
      await eventually(() => expect(sizes).toEqual([1, 1]));
      await dispatcher.drain();
    });

    it('does not let the other portals wait', async () => {
      const { dispatcher, sizes } = await afterFirst(true);
      dispatcher.receive(recorded(anEvent({ memberId: 'another' })).delivery);
      await eventually(() => expect(sizes).toEqual([1, 1]));
      await dispatcher.drain();
    });

    it('goes on at once with events that carry data, which are not merged', async () => {
      const { dispatcher, sizes, send } = await afterFirst(false);
      send('2');
      await eventually(() => expect(sizes).toEqual([1, 1]));
      await dispatcher.drain();
    });
  });

  it('has no more batches in hand than it may', async () => {
    let inHand = 0;
    let most = 0;
    const dispatcher = dispatch(
      [
        handler(async () => {
          most = Math.max(most, ++inHand);
          await new Promise(setImmediate);
          inHand -= 1;
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

  it('works on nothing that has gone back to the bus', async () => {
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

  it('finishes what is in hand when it is drained, and starts nothing more', async () => {
    const release = deferred<void>();
    const started: PortalBatch[] = [];
    const dispatcher = dispatch([
      handler(async (batch) => {
        started.push(batch);
        await release.promise;
        return [];
      }),
    ]);
    const inHand = recorded(anEvent());
    const pending = recorded(anEvent());
    dispatcher.receive(inHand.delivery);
    await eventually(() => expect(started).toHaveLength(1));
    dispatcher.receive(pending.delivery);
    const drained = dispatcher.drain();
    release.resolve();
    await drained;
    expect(inHand.receipt.settled).toEqual([{ as: 'done' }]);
    await new Promise(setImmediate);
    expect(started).toHaveLength(1);
    expect(pending.receipt.settled).toEqual([]);
  });
});
