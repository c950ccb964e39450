import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { PortalEvent } from '@relay/bus';
import type { Lane, LaneBatch, LaneReceipt, LaneRules } from './lane.js';
import { Lanes } from './lanes.js';
import { anEvent } from '../../../../test/support/an-event.js';

interface Slip extends LaneReceipt {
  lost: boolean;
}
const slip = (deliveryCount = 0): Slip => ({ lost: false, deliveryCount });
const merging: LaneRules = { merge: true, maxEntries: 2_500 };
const inOrder: LaneRules = { merge: false, maxEntries: 2_500 };

/** Takes a batch from the lanes and releases the lane. */
class Worker {
  readonly lanes = new Lanes<LaneRules, Slip>();
  private readonly inFlight = new Map<string, Lane<LaneRules, Slip>>();

  add(rules: LaneRules, event: PortalEvent, receipt: Slip): void {
    this.lanes.of(event.memberId).add(rules, event, receipt);
  }

  /** From the first waiting lane with work; lanes without work are removed. */
  take(): LaneBatch<LaneRules, Slip> | undefined {
    for (let lane = this.lanes.next(); lane; lane = this.lanes.next()) {
      const batch = lane.take();
      if (batch) {
        this.inFlight.set(lane.memberId, lane);
        return batch;
      }
      this.lanes.release(lane);
    }
    return undefined;
  }

  release(memberId: string): void {
    const lane = this.inFlight.get(memberId);
    this.inFlight.delete(memberId);
    if (lane) this.lanes.release(lane);
  }
}
const newLanes = (): Worker => new Worker();

describe('lanes', () => {
  it('merge pending events of one entity into one entry', () => {
    const lanes = newLanes();
    const receipts = [slip(), slip(), slip()];
    lanes.add(merging, anEvent({ name: 'ONCRMCONTACTADD', ts: 20, receivedAt: 300 }), receipts[0] ?? slip());
    lanes.add(
      merging,
      anEvent({ name: 'ONCRMCONTACTUPDATE', ts: 30, receivedAt: 200 }),
      receipts[1] ?? slip(),
    );
    lanes.add(
      merging,
      anEvent({ name: 'ONCRMCONTACTUPDATE', ts: 10, receivedAt: 400 }),
      receipts[2] ?? slip(),
    );
    const batch = lanes.take();
    expect(batch?.entries).toEqual([
      {
        key: 'CRMCONTACT:82',
        view: {
          entity: 'CRMCONTACT:82',
          entityId: '82',
          entityTypeId: 0,
          names: ['ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE'],
          firstSeenAt: 200,
          lastTs: 30,
        },
        receipts,
      },
    ]);
  });

  it('do not merge into an entry in flight: its read may be older than the event', () => {
    const lanes = newLanes();
    lanes.add(merging, anEvent(), slip());
    const first = lanes.take();
    lanes.add(merging, anEvent(), slip());
    expect(first?.entries[0]?.receipts).toHaveLength(1);
    lanes.release(anEvent().memberId);
    expect(lanes.take()?.entries).toHaveLength(1);
  });

  it('report when the next batch of a portal is full, and when there is none', () => {
    const lanes = newLanes();
    const small: LaneRules = { merge: true, maxEntries: 2 };
    const lane = lanes.lanes.of(anEvent().memberId);
    lanes.add(small, anEvent({ entityId: '1' }), slip());
    lanes.add(small, anEvent({ entityId: '1' }), slip());
    expect([lane.isFull, lane.entries, lane.size]).toEqual([false, 1, 2]);
    lanes.add(small, anEvent({ entityId: '2' }), slip());
    expect([lane.isFull, lane.entries, lane.size]).toEqual([true, 2, 3]);
    lanes.take();
    expect([lane.isFull, lane.isEmpty, lane.size]).toEqual([false, true, 0]);
  });

  it('report how many portals have work, how many events wait, and since when', () => {
    const lanes = newLanes();
    expect(lanes.lanes.summary()).toEqual({ lanes: 0, waiting: 0, oldestAt: undefined });
    lanes.add(merging, anEvent({ receivedAt: 300 }), slip());
    lanes.add(merging, anEvent({ receivedAt: 200 }), slip());
    lanes.add(merging, anEvent({ memberId: 'other', receivedAt: 250 }), slip());
    expect(lanes.lanes.summary()).toEqual({ lanes: 2, waiting: 3, oldestAt: 200 });
    const batch = lanes.take();
    expect(lanes.lanes.summary()).toEqual({ lanes: 2, waiting: 3, oldestAt: 200 });
    lanes.lanes.of(batch?.memberId ?? '').handled();
    expect(lanes.lanes.summary()).toEqual({ lanes: 2, waiting: 1, oldestAt: 250 });
  });

  it('keep events with data separate and in order', () => {
    const lanes = newLanes();
    const events = ['a', 'b', 'c'].map((text) => anEvent({ data: { text } }));
    for (const event of events) lanes.add(inOrder, event, slip());
    expect(lanes.take()?.entries.map(({ view }) => view.data)).toEqual(events.map(({ data }) => data));
  });

  it('never merge events that name no entity', () => {
    const lanes = newLanes();
    const events = [anEvent({ entityId: null }), anEvent({ entityId: null })];
    for (const event of events) lanes.add(merging, event, slip());
    expect(lanes.take()?.entries.map(({ view }) => view.entity)).toEqual(events.map(({ id }) => id));
  });

  it('pause a portal while a batch of it is in flight, and only that portal', () => {
    const lanes = newLanes();
    lanes.add(merging, anEvent({ memberId: 'a', entityId: '1' }), slip());
    expect(lanes.take()?.memberId).toBe('a');
    lanes.add(merging, anEvent({ memberId: 'a', entityId: '2' }), slip());
    lanes.add(merging, anEvent({ memberId: 'b' }), slip());
    expect(lanes.take()?.memberId).toBe('b');
    expect(lanes.take()).toBeUndefined();
    lanes.release('a');
    expect(lanes.take()?.entries.map(({ view }) => view.entityId)).toEqual(['2']);
  });

  it('limit the entries of one batch', () => {
    const lanes = newLanes();
    const rules = { merge: true, maxEntries: 2 };
    for (const entityId of ['1', '2', '3']) lanes.add(rules, anEvent({ entityId }), slip());
    const { memberId } = anEvent();
    const sizes = [lanes.take()?.entries.length];
    lanes.release(memberId);
    sizes.push(lanes.take()?.entries.length);
    lanes.release(memberId);
    expect([...sizes, lanes.take()]).toEqual([2, 1, undefined]);
  });

  it('run round-robin, so that a flood does not delay a single event', () => {
    const lanes = newLanes();
    const rules = { merge: true, maxEntries: 10 };
    for (let index = 0; index < 1_000; index++) {
      lanes.add(rules, anEvent({ memberId: 'flood', entityId: String(index) }), slip());
    }
    lanes.add(rules, anEvent({ memberId: 'quiet' }), slip());
    const order = [0, 1, 2, 3].map(() => {
      const memberId = lanes.take()?.memberId ?? '';
      lanes.release(memberId);
      return memberId;
    });
    expect(order).toEqual(['flood', 'quiet', 'flood', 'flood']);
  });

  it('run the handlers of one portal round-robin, too', () => {
    const lanes = newLanes();
    const [busy, calm] = [
      { merge: true, maxEntries: 1 },
      { merge: true, maxEntries: 1 },
    ];
    for (const entityId of ['1', '2', '3']) lanes.add(busy, anEvent({ entityId }), slip());
    lanes.add(calm, anEvent(), slip());
    const handlers = [0, 1, 2, 3].map(() => {
      const batch = lanes.take();
      lanes.release(batch?.memberId ?? '');
      return batch?.handler;
    });
    expect(handlers.map((handler) => (handler === calm ? 'calm' : 'busy'))).toEqual([
      'busy',
      'calm',
      'busy',
      'busy',
    ]);
  });

  it('keep the position of a portal that is not admitted', () => {
    const lanes = newLanes();
    for (const memberId of ['a', 'b', 'c']) lanes.add(merging, anEvent({ memberId }), slip());
    expect(lanes.lanes.next((memberId) => memberId === 'b')?.memberId).toBe('b');
    expect(lanes.lanes.next((memberId) => memberId === 'b')).toBeUndefined();
    expect(lanes.take()?.memberId).toBe('a');
  });

  it('queue returned entries first, and merge later events into them', () => {
    const lanes = newLanes();
    for (const entityId of ['1', '2']) lanes.add(merging, anEvent({ entityId, receivedAt: 100 }), slip());
    const batch = lanes.take();
    const lane = lanes.lanes.of(anEvent().memberId);
    lanes.add(merging, anEvent({ entityId: '3' }), slip());
    lanes.add(merging, anEvent({ entityId: '2', name: 'ONCRMCONTACTADD', receivedAt: 300 }), slip());
    lane.putBack(merging, batch?.entries ?? []);
    expect(lane.size).toBe(4);
    const again = lane.take()?.entries ?? [];
    expect(again.map(({ view }) => view.entityId)).toEqual(['1', '2', '3']);
    expect(again[1]).toMatchObject({
      view: { names: ['ONCRMCONTACTUPDATE', 'ONCRMCONTACTADD'], firstSeenAt: 100 },
      receipts: [{ lost: false }, { lost: false }],
    });
    expect(lane.size).toBe(0);
  });

  it('keep events with data in order when they are put back', () => {
    const lanes = newLanes();
    const send = (text: string): void => lanes.add(inOrder, anEvent({ data: { text } }), slip());
    for (const text of ['a', 'b']) send(text);
    const batch = lanes.take();
    send('c');
    const lane = lanes.lanes.of(anEvent().memberId);
    lane.putBack(inOrder, batch?.entries ?? []);
    expect(lane.take()?.entries.map(({ view }) => view.data?.['text'])).toEqual(['a', 'b', 'c']);
  });

  it('return everything that waits at once, and are empty afterwards', () => {
    const lanes = newLanes();
    for (const entityId of ['1', '2', '2']) lanes.add(merging, anEvent({ entityId }), slip());
    const lane = lanes.lanes.of(anEvent().memberId);
    expect(lane.empty().map(({ receipts }) => receipts.length)).toEqual([1, 2]);
    expect([lane.size, lane.isEmpty]).toEqual([0, true]);
  });

  it('are suspect while a redelivered message waits in them', () => {
    const lanes = newLanes();
    const rules = { merge: true, maxEntries: 1 };
    lanes.add(rules, anEvent({ entityId: '1' }), slip(1));
    lanes.add(rules, anEvent({ entityId: '2' }), slip());
    const lane = lanes.lanes.of(anEvent().memberId);
    expect(lane.isSuspect).toBe(true);
    lane.take();
    expect(lane.isSuspect).toBe(false);
  });

  it('drop messages that have returned to the bus', () => {
    const lanes = newLanes();
    const lost = slip();
    lanes.add(merging, anEvent({ entityId: '1' }), lost);
    lanes.add(merging, anEvent({ entityId: '2' }), lost);
    lanes.add(merging, anEvent({ entityId: '2' }), slip());
    lost.lost = true;
    const lane = lanes.lanes.of(anEvent().memberId);
    lane.dropLost();
    expect([lane.size, lane.entries]).toEqual([1, 1]);
  });

  it('leave out entries that have returned to the bus', () => {
    const lanes = newLanes();
    const lost = slip();
    lanes.add(merging, anEvent({ entityId: '1' }), lost);
    lanes.add(merging, anEvent({ entityId: '2' }), lost);
    lost.lost = true;
    lanes.add(merging, anEvent({ entityId: '2' }), slip());
    lanes.add(merging, anEvent({ memberId: 'b' }), lost);
    expect(lanes.take()?.entries.map(({ view }) => view.entityId)).toEqual(['2']);
    expect(lanes.take()).toBeUndefined();
  });
});

type Step =
  | { do: 'add'; portal: number; entity: number | null; handler: number }
  | { do: 'take' }
  | { do: 'release'; nth: number }
  | { do: 'putBack'; nth: number };

const steps = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('add' as const),
        portal: fc.nat(3),
        entity: fc.option(fc.nat(4)),
        handler: fc.nat(2),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('take' as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('release' as const), nth: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('putBack' as const), nth: fc.nat(3) }) },
  ),
  { maxLength: 200 },
);

describe('properties of lanes', () => {
  const handlers: LaneRules[] = [
    { merge: true, maxEntries: 3 },
    { merge: false, maxEntries: 2 },
    { merge: true, maxEntries: 2_500 },
  ];

  it('every receipt is taken exactly once, and never two batches of one portal at once', () => {
    fc.assert(
      fc.property(steps, (run) => {
        const lanes = newLanes();
        const inFlight: LaneBatch<LaneRules, Slip>[] = [];
        const handedOut: Slip[] = [];
        const added: Slip[] = [];
        const take = (): boolean => {
          const batch = lanes.take();
          if (!batch) return false;
          expect(inFlight.map(({ memberId }) => memberId)).not.toContain(batch.memberId);
          expect(batch.entries.length).toBeGreaterThan(0);
          expect(batch.entries.length).toBeLessThanOrEqual(batch.handler.maxEntries);
          inFlight.push(batch);
          handedOut.push(...batch.entries.flatMap(({ receipts }) => receipts));
          return true;
        };
        const perform = (step: Step): void => {
          if (step.do === 'add') {
            const receipt = slip();
            added.push(receipt);
            const handler = handlers[step.handler] ?? merging;
            const entityId = step.entity === null ? null : String(step.entity);
            lanes.add(handler, anEvent({ memberId: `portal ${step.portal}`, entityId }), receipt);
          } else if (step.do === 'take') {
            take();
          } else {
            for (const batch of inFlight.splice(step.nth % (inFlight.length || 1), 1)) {
              if (step.do === 'putBack') {
                lanes.lanes.of(batch.memberId).putBack(batch.handler, batch.entries);
                const back = new Set(batch.entries.flatMap(({ receipts }) => receipts));
                handedOut.splice(0, handedOut.length, ...handedOut.filter((receipt) => !back.has(receipt)));
              }
              lanes.release(batch.memberId);
            }
          }
        };
        for (const step of run) perform(step);
        do for (const { memberId } of inFlight.splice(0)) lanes.release(memberId);
        while (take());
        expect(lanes.lanes.summary()).toEqual({ lanes: 0, waiting: 0, oldestAt: undefined });
        expect(handedOut).toHaveLength(added.length);
        expect(new Set(handedOut)).toEqual(new Set(added));
      }),
    );
  });

  it('no lane starves: between two turns of one portal, every other that waits has had its own', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(30), { minLength: 2, maxLength: 8 }), (sizes) => {
        const lanes = newLanes();
        sizes.forEach((size, portal) => {
          for (let index = 0; index <= size; index++) {
            lanes.add(
              handlers[0] ?? merging,
              anEvent({ memberId: String(portal), entityId: String(index) }),
              slip(),
            );
          }
        });
        const order: string[] = [];
        for (let batch = lanes.take(); batch; batch = lanes.take()) {
          order.push(batch.memberId);
          lanes.release(batch.memberId);
        }
        for (const portal of new Set(order)) {
          const first = order.indexOf(portal);
          expect(first).toBeLessThan(sizes.length);
        }
        order.forEach((portal, at) => {
          const next = order.indexOf(portal, at + 1);
          const between = order.slice(at + 1, next === -1 ? at + 1 : next);
          expect(new Set(between).size).toBe(between.length);
        });
      }),
    );
  });
});
