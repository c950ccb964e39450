import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { serialize } from 'node:v8';
import type { FormTree } from '@relay/bus';
import { anEvent } from '../../../../test/support/an-event.js';
import { LaneTotals } from './lane-totals.js';
import type { Lane, LaneBatch, LaneRules } from './lane.js';
import { Lanes } from './lanes.js';
import { bytesOf, type LaneReceipt } from './pending-entry.js';

interface Slip extends LaneReceipt {
  lost: boolean;
}
type TestLane = Lane<LaneRules, Slip>;

const rules: LaneRules[] = [
  { merge: true, maxEntries: 3 },
  { merge: false, maxEntries: 2 },
];

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('add' as const),
      portal: fc.nat(3),
      entity: fc.option(fc.nat(3)),
      handler: fc.nat(1),
      receivedAt: fc.nat(20),
      heldBytes: fc.constantFrom(undefined, 20_000, 3 << 20),
      data: fc.constantFrom<FormTree>({}, { TEXT: 'x'.repeat(30_000) }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('take' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('release', 'handled', 'putBack'), nth: fc.nat(3) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const), nth: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('dropLost', 'empty'), nth: fc.nat(3) }) },
);

describe('the totals of the lanes', () => {
  it('equal what a walk over every lane counts, after any operations', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const totals = new LaneTotals();
        const lanes = new Lanes<LaneRules, Slip>(totals);
        const known = new Map<string, TestLane>();
        const slips: Slip[] = [];
        /** Lanes between `next` and `release`, each with its batch until that is handled. */
        const taken: { lane: TestLane; batch: LaneBatch<LaneRules, Slip> | undefined }[] = [];
        const release = (lane: TestLane): void => {
          lanes.release(lane);
          if (lane.isEmpty) known.delete(lane.memberId);
        };

        const perform = (one: (typeof steps)[number]): void => {
          if (one.do === 'add') {
            const memberId = String(one.portal);
            const receipt = { lost: false, deliveryCount: 0, heldBytes: one.heldBytes ?? 0 };
            slips.push(receipt);
            const lane = lanes.of(memberId);
            known.set(memberId, lane);
            const entityId = one.entity === null ? null : String(one.entity);
            const event = anEvent({ memberId, entityId, receivedAt: one.receivedAt, data: one.data });
            lane.add(rules[one.handler] ?? { merge: true, maxEntries: 1 }, event, receipt);
          } else if (one.do === 'take') {
            const lane = lanes.next();
            if (!lane) return;
            const batch = lane.take();
            if (batch) taken.push({ lane, batch });
            else release(lane);
          } else if (one.do === 'lose') {
            const lost = slips[one.nth % (slips.length || 1)];
            if (lost) lost.lost = true;
          } else if (one.do === 'dropLost' || one.do === 'empty') {
            const lane = known.get(String(one.nth));
            // As the dispatcher does: only an event that arrives, or a lane in flight, changes a lane like this.
            if (one.do === 'dropLost') lane?.dropLost();
            else taken[one.nth]?.lane.empty();
          } else {
            const held = taken[one.nth % (taken.length || 1)];
            if (!held) return;
            if (one.do === 'handled') held.lane.handled();
            if (one.do === 'putBack' && held.batch) held.lane.putBack(held.batch.handler, held.batch.entries);
            if (one.do !== 'release') {
              held.batch = undefined;
              return;
            }
            taken.splice(taken.indexOf(held), 1);
            release(held.lane);
          }
        };

        for (const one of steps) {
          perform(one);
          let waiting = 0;
          let bytes = 0;
          let oldestAt = Infinity;
          const inFlight = taken.flatMap(({ batch }) => batch?.entries ?? []);
          const pending = [...known.values()].flatMap((lane) => [...lane.waiting()]);
          for (const entry of [...pending, ...inFlight]) {
            const { receipts, view } = entry;
            bytes += bytesOf(entry);
            waiting += receipts.length;
            oldestAt = Math.min(oldestAt, view.firstSeenAt);
          }
          expect(totals.bytes).toBe(bytes);
          expect(lanes.summary()).toMatchObject({
            waiting,
            oldestAt: oldestAt === Infinity ? undefined : oldestAt,
          });
        }
      }),
    );
  });

  it('find the oldest time among thousands that come and go', () => {
    const totals = new LaneTotals();
    const times: number[] = [];
    const [seen, counted]: [unknown[], unknown[]] = [[], []];
    for (const { time, add } of fc.sample(fc.record({ time: fc.nat(300), add: fc.boolean() }), 20_000)) {
      if (add) {
        times.push(time);
        totals.addTime(time);
      } else {
        const [gone] = times.splice(time % (times.length || 1), 1);
        if (gone !== undefined) totals.removeTime(gone);
      }
      seen.push(totals.oldestAt);
      counted.push(times.length > 0 ? Math.min(...times) : undefined);
    }
    expect(seen).toEqual(counted);
  });

  it('keep no more times than there are, although nobody asks for the oldest', () => {
    const totals = new LaneTotals();
    totals.addTime(-1);
    // Halves are stored as what they are, each in as many bytes.
    for (let time = 0.5; time < 10_000; time += 1) {
      totals.addTime(time);
      totals.removeTime(time);
    }
    expect(totals.oldestAt).toBe(-1);
    const hundred = Array.from({ length: 100 }, () => 0.5);
    expect(serialize(totals).length).toBeLessThan(serialize(hundred).length);
  });
});
