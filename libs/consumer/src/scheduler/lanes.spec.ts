import { afterEach, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import { serialize } from 'node:v8';
import type { PortalEvent } from '@relay/bus';
import type { Lane, LaneBatch, LaneRules } from './lane.js';
import { Lanes } from './lanes.js';
import type { LaneReceipt } from './pending-entry.js';
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
    const [most, ...others] = lanes.lanes.largest(2);
    expect([most?.events, others]).toEqual([2, [{ memberId: 'other', events: 1 }]]);
    expect(lanes.lanes.largest(1)).toEqual([most]);
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

  it('give an event that names no entity with its data and eventId, to a handler that merges, too', () => {
    const lanes = newLanes();
    const event = anEvent({ entityId: null, name: 'ONSESSIONSTART', data: { DATA: 'x' }, eventId: '7' });
    lanes.add(merging, event, slip());
    lanes.add(merging, anEvent({ entityId: null, data: {} }), slip());
    const views = lanes.take()?.entries.map(({ view }) => view);
    expect(views).toMatchObject([{ data: { DATA: 'x' }, eventId: '7' }, { data: {} }]);
    expect(views?.[1]).not.toHaveProperty('eventId');
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

/** Of a deal: data are kept if a stage is given. */
const deal = (entityId: string, stage?: string, ts = 10): PortalEvent =>
  anEvent({
    name: stage === undefined ? 'ONCRMDEALUPDATE' : 'ONCRMDEALMOVETOCATEGORY',
    entityId,
    entity: `CRMDEAL:${entityId}`,
    data: { FIELDS: { ID: entityId }, ...(stage !== undefined && { stage }) },
    ts,
  });

const stages = (batch: LaneBatch<LaneRules, Slip> | undefined) =>
  batch?.entries.map(({ view }) => view.data?.['stage']);

describe('the data of merged events', () => {
  it('are those of the latest event that says more than its id, by the time of sending', () => {
    const lanes = newLanes();
    for (const event of [
      deal('1', 'A'),
      deal('1', 'B'),
      deal('1'),
      deal('2'),
      deal('3', 'new', 20),
      deal('3', 'old', 10),
    ])
      lanes.add(merging, event, slip());
    const batch = lanes.take();
    expect(stages(batch)).toEqual(['B', undefined, 'new']);
    expect(batch?.entries[1]?.view).not.toHaveProperty('data');
    expect(batch?.entries[0]?.view.names).toEqual(['ONCRMDEALMOVETOCATEGORY', 'ONCRMDEALUPDATE']);
  });

  it('are the latest also when an entry is put back, whatever came meanwhile', () => {
    const lanes = newLanes();
    for (const id of ['1', '2', '3', '4'])
      lanes.add(merging, deal(id, id === '4' ? undefined : 'A', 20), slip());
    const batch = lanes.take();
    for (const event of [deal('1', 'B', 20), deal('2'), deal('3', 'B', 10), deal('4', 'B')])
      lanes.add(merging, event, slip());
    const lane = lanes.lanes.of(anEvent().memberId);
    lane.putBack(merging, batch?.entries ?? []);
    expect(stages(lane.take())).toEqual(['B', 'A', 'A', 'B']);
  });

  it('have the eventId of the event that they are of', () => {
    const lanes = newLanes();
    lanes.add(merging, { ...deal('1', 'A'), eventId: '7' }, slip());
    lanes.add(merging, deal('2', 'A'), slip());
    lanes.add(merging, deal('1', 'B'), slip());
    lanes.add(merging, { ...deal('2', 'B'), eventId: '8' }, slip());
    expect(lanes.take()?.entries.map(({ view }) => view.eventId)).toEqual([undefined, '8']);
  });
});

/** About a megabyte of memory. */
const large = '-'.repeat(512 * 1024);

describe('the data that one lane keeps', () => {
  const add = (lane: Lane<LaneRules, Slip>, event: PortalEvent, rules = merging): boolean =>
    lane.add(rules, event, slip());
  const fill = (lane: Lane<LaneRules, Slip>, rules = merging): number => {
    for (let count = 0; count < 20; count++)
      if (!add(lane, deal(`fill ${count}`, large), rules)) return count;
    return 20;
  };

  it.each([
    ['merged', merging],
    ['single', inOrder],
  ])('are bounded, waiting and in flight, for %s events', (_, rules) => {
    const lane = newLanes().lanes.of('a');
    expect(fill(lane, rules)).toBe(7);
    expect([lane.isFull, lane.size]).toEqual([true, 7]);
    const batch = lane.take(() => 3);
    expect([batch?.entries.length, fill(lane, rules)]).toEqual([3, 0]);
    lane.handled();
    expect(add(lane, deal('next', large), rules)).toBe(true);
  });

  it('leave room for events that say no more than their id, and for data that replace as large ones', () => {
    const lane = newLanes().lanes.of('a');
    fill(lane);
    expect(add(lane, deal('another'))).toBe(true);
    expect(add(lane, deal('fill 0', large.replace('-', '+')))).toBe(true);
    expect(add(lane, deal('another', large))).toBe(false);
    expect(lane.size).toBe(9);
  });

  it('are one event at least, however large', () => {
    const lane = newLanes().lanes.of('a');
    expect(add(lane, deal('1', large.repeat(10)))).toBe(true);
    expect(add(lane, deal('1', large.repeat(11)))).toBe(true);
    expect(add(lane, deal('2', 'A'))).toBe(false);
  });

  it('are counted down to nothing, whatever happens to them', () => {
    const step = fc.record({
      do: fc.constantFrom('add', 'add', 'add', 'take', 'putBack', 'handled', 'lose', 'empty'),
      id: fc.constantFrom('1', '2', '3'),
      size: fc.constantFrom(0, 0, 1, 3),
      ts: fc.nat(3),
      merge: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 30, maxLength: 60 }), (run) => {
        const lane = newLanes().lanes.of('a');
        let batch: LaneBatch<LaneRules, Slip> | undefined;
        for (const { do: act, id, size, ts, merge } of run) {
          const receipt = slip();
          const stage = size === 0 ? undefined : large.slice(0, size * 128 * 1024);
          if (act === 'add') lane.add(merge ? merging : inOrder, deal(id, stage, ts), receipt);
          else if (act === 'take' && !batch) batch = lane.take(() => 2);
          else if (act === 'lose') {
            for (const { receipts } of lane.waiting()) for (const one of receipts) one.lost = true;
            lane.dropLost();
          } else if (act === 'empty') lane.empty();
          else if (batch && (act === 'handled' || act === 'putBack')) {
            lane.putBack(batch.handler, act === 'putBack' ? batch.entries : []);
            batch = undefined;
          }
        }
        lane.handled();
        lane.empty();
        expect(fill(lane)).toBe(7);
      }),
    );
  });
});

type Step =
  | { do: 'add'; portal: number; entity: number | null; handler: number; receivedAt: number }
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
        receivedAt: fc.nat(3),
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
            const { receivedAt } = step;
            lanes.add(handler, anEvent({ memberId: `portal ${step.portal}`, entityId, receivedAt }), receipt);
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

const now = (entityId: string) => anEvent({ entityId, receivedAt: Date.now() });
const idsOf = (batch: LaneBatch<LaneRules, Slip> | undefined) =>
  batch?.entries.map(({ view }) => view.entityId);

/** How often the lane's memory has the key of a contact, waiting or remembered. */
const keysIn = (lane: Lane<LaneRules, Slip>): number =>
  serialize(lane).toString('latin1').split('CRMCONTACT:').length - 1;

describe('an entity that was in a batch just now', () => {
  const { memberId } = anEvent();
  const few: LaneRules = { merge: true, maxEntries: 2 };
  afterEach(() => {
    jest.useRealTimers();
  });

  /** Contacts 1 and 2 are in flight. */
  function withTwoInFlight(): Worker {
    const lanes = newLanes();
    for (const id of ['1', '2']) lanes.add(few, now(id), slip());
    lanes.take();
    return lanes;
  }

  it('waits behind those that were in none, and then comes in turn', () => {
    const lanes = withTwoInFlight();
    for (const id of ['1', '3', '2', '4', '5']) lanes.add(few, now(id), slip());
    const taken = [0, 1, 2].map(() => {
      lanes.release(memberId);
      return idsOf(lanes.take());
    });
    expect(taken).toEqual([['3', '4'], ['5', '1'], ['2']]);
  });

  it('does not make a lane full: more may come that is better', () => {
    const lanes = withTwoInFlight();
    const lane = lanes.lanes.of(memberId);
    for (const id of ['1', '2', '3']) lanes.add(few, now(id), slip());
    expect([lane.isFull, lane.entries]).toEqual([false, 3]);
    lanes.add(few, now('4'), slip());
    expect([lane.isFull, lane.entries]).toEqual([true, 4]);
  });

  it('waits behind nothing two minutes after its event was received', () => {
    jest.useFakeTimers();
    const lanes = withTwoInFlight();
    const old = { ...now('1'), receivedAt: Date.now() - 120_000 };
    lanes.add(few, now('2'), slip());
    lanes.add(few, old, slip());
    for (const id of ['3', '4', '5']) lanes.add(few, now(id), slip());
    lanes.release(memberId);
    expect(idsOf(lanes.take())).toEqual(['1', '3']);
    jest.advanceTimersByTime(120_001);
    lanes.add(few, now('6'), slip());
    lanes.release(memberId);
    expect(idsOf(lanes.take())).toEqual(['4', '5']);
    lanes.add(few, now('7'), slip());
    lanes.release(memberId);
    expect(idsOf(lanes.take())).toEqual(['6', '2']);
    lanes.release(memberId);
    expect(idsOf(lanes.take())).toEqual(['7']);
  });

  it('is as any other two minutes after that batch began, in a lane that was never empty since', () => {
    jest.useFakeTimers();
    const lanes = withTwoInFlight();
    lanes.add(few, now('3'), slip());
    jest.advanceTimersByTime(119_999);
    for (const id of ['1', '4']) lanes.add(few, now(id), slip());
    lanes.release(memberId);
    expect(idsOf(lanes.take())).toEqual(['3', '4']);
    jest.advanceTimersByTime(1);
    for (const id of ['2', '5']) lanes.add(few, now(id), slip());
    lanes.release(memberId);
    expect(idsOf(lanes.take())).toEqual(['2', '5']);
  });

  it('is remembered for minutes, and no longer, in a lane that is never empty', () => {
    jest.useFakeTimers();
    const lanes = newLanes();
    const lane = lanes.lanes.of(memberId);
    lanes.add(few, now('0'), slip());
    const ofOneEntry = keysIn(lane);
    for (let second = 1; second <= 2_000; second++) {
      lanes.add(few, now(`${second}`), slip());
      lanes.add(few, now(`${second}-again`), slip());
      lanes.take();
      lanes.release(memberId);
      jest.advanceTimersByTime(1_000);
    }
    expect([lane.entries, keysIn(lane) - ofOneEntry]).toEqual([1, 480]);
  });

  it('is first again when its entry is put back, or has failed', () => {
    const lanes = newLanes();
    for (const id of ['1', '2']) lanes.add(few, now(id), slip());
    const batch = lanes.take();
    const lane = lanes.lanes.of(memberId);
    lanes.add(few, now('3'), slip());
    lanes.add(few, now('1'), slip());
    lane.putBack(few, batch?.entries.slice(0, 1) ?? []);
    lane.forget('CRMCONTACT:2');
    lanes.add(few, now('2'), slip());
    lanes.release(memberId);
    const [first] = [lanes.take()];
    expect([idsOf(first), first?.entries[0]?.receipts.length]).toEqual([['1', '3'], 2]);
    lanes.add(few, now('4'), slip());
    lanes.release(memberId);
    expect(idsOf(lanes.take())).toEqual(['2', '4']);
  });

  it('is as any other when one of its events is no repeat, although a repeat waits already', () => {
    const lanes = withTwoInFlight();
    const lane = lanes.lanes.of(memberId);
    for (const id of ['1', '2']) lanes.add(few, now(id), slip());
    lane.forget('CRMCONTACT:2');
    expect(lane.hasFresh).toBe(false);
    lanes.add(few, now('2'), slip());
    expect([lane.hasFresh, lane.entries]).toEqual([true, 2]);
    lanes.add(few, now('3'), slip());
    lanes.release(memberId);
    const batch = lanes.take();
    expect([idsOf(batch), batch?.entries[0]?.receipts.length]).toEqual([['2', '3'], 2]);
  });

  it('is as any other once the lane was empty', () => {
    const lanes = withTwoInFlight();
    lanes.release(memberId);
    for (const id of ['1', '3', '4']) lanes.add(few, now(id), slip());
    expect(idsOf(lanes.take())).toEqual(['1', '3']);
  });

  it('is no such for a handler that sees each event', () => {
    const lanes = newLanes();
    lanes.add(inOrder, now('1'), slip());
    lanes.take();
    for (const id of ['1', '2']) lanes.add(inOrder, now(id), slip());
    lanes.release(memberId);
    expect(idsOf(lanes.take())).toEqual(['1', '2']);
  });

  it('gives up its place, the one that came first before the others', () => {
    const lanes = withTwoInFlight();
    const lane = lanes.lanes.of(memberId);
    for (const id of ['2', '1', '3']) lanes.add(few, now(id), slip());
    const given = [lane.takeRepeat(), lane.takeRepeat(), lane.takeRepeat()];
    expect(given.map((entry) => entry?.view.entityId)).toEqual(['2', '1', undefined]);
    expect([lane.size, lane.entries]).toEqual([1, 1]);
    lanes.release(memberId);
    expect(lanes.lanes.summary().waiting).toBe(1);
  });

  it('makes room when all of it has returned to the bus, behind one that has not', () => {
    const lanes = withTwoInFlight();
    const lane = lanes.lanes.of(memberId);
    const gone = slip();
    lanes.add(few, now('1'), gone);
    lanes.add(few, now('3'), slip());
    gone.lost = true;
    lane.dropLost();
    expect([lane.size, lane.entries]).toEqual([1, 1]);
  });
});
