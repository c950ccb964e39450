import { beforeEach, describe, expect, it } from '@jest/globals';
import { Ledger } from './ledger.mjs';
import { maxOverlaps } from './report.mjs';

const [portal, thing] = ['acme', 'CRMCONTACT:82'];

describe('the ledger', () => {
  let ledger: Ledger;
  let now: number;
  const send = (): ((answer: string) => void) => ledger.sent({ portal, thing, gatewayUp: true });
  const begin = (process = 'consumer-1'): number =>
    ledger.began({ process, portal, things: [thing], inFlight: 0 });
  const handle = (): void => ledger.ended(begin(), []);
  const most = (...faults: (number | [atMs: number, endedMs: number])[]): number =>
    maxOverlaps(
      ledger.summary().overlapsBetween,
      faults.map((times) => {
        const [atMs, endedMs] = typeof times === 'number' ? [times] : times;
        return { kind: 'any', target: 'any', atMs, plannedMs: 0, endedMs };
      }),
    );
  const handleBy = (process: string): void => ledger.ended(begin(process), []);

  beforeEach(() => {
    now = 7;
    ledger = new Ledger(() => now);
  });

  it('reports accepted events that nobody handled as missing', () => {
    send()('200');
    expect(ledger.missing()).toEqual([`${portal} ${thing}`]);
    handle();
    expect(ledger.missing()).toEqual([]);
  });

  it('reports what changed and was not read since as missing, whether anybody was told or not', () => {
    ledger.changed({ portal, thing });
    expect(ledger.missing()).toEqual([`${portal} ${thing}`]);
    const run = begin();
    ledger.changed({ portal, thing });
    ledger.ended(run, []);
    expect(ledger.missing()).toHaveLength(1);
    handle();
    expect(ledger.missing()).toEqual([]);
    expect(ledger.summary().strangers).toEqual([]);
  });

  it('reports the last event of an entity that was only read before it as missing', () => {
    send()('200');
    const run = begin();
    send()('200');
    ledger.ended(run, []);
    expect(ledger.missing()).toHaveLength(1);
    handle();
    expect(ledger.missing()).toEqual([]);
  });

  it('reports entries of an unfinished run, and failed entries, as missing', () => {
    send()('200');
    begin('consumer-1#1');
    ledger.died('consumer-1#1');
    expect(ledger.missing()).toHaveLength(1);
    ledger.ended(begin(), [thing]);
    expect(ledger.missing()).toHaveLength(1);
  });

  it('does not report what a run handled that was overtaken by one which its process had given up', () => {
    send()('200');
    const answered = begin();
    // A request that timed out in its process, and is read here only now.
    begin();
    ledger.ended(answered, []);
    expect(ledger.missing()).toEqual([]);
  });

  it('does not require events that were not accepted', () => {
    for (const answer of ['503', 'broken', 'timeout', 'refused']) send()(answer);
    expect(ledger.missing()).toEqual([]);
    handle();
    expect(ledger.summary()).toMatchObject({ strangers: [], acceptedWhileUp: 0, sentWhileUp: 4 });
  });

  it('detects handled events that cannot have been stored', () => {
    send()('refused');
    send()('401');
    handle();
    ledger.ended(ledger.began({ process: 'p', portal, things: ['never sent'], inFlight: 0 }), []);
    expect(ledger.summary().strangers).toEqual([`${portal} ${thing}`, `${portal} never sent`]);
  });

  it('counts handling without a new event as a duplicate', () => {
    send()('200');
    handle();
    expect(ledger.summary().repeats).toBe(0);
    handle();
    expect(ledger.summary().repeats).toBe(1);
    send()('200');
    handle();
    expect(ledger.summary().repeats).toBe(1);
  });

  it('counts a read that began before the answer arrived, which is right all the same', () => {
    const answered = send();
    handle();
    answered('200');
    expect(ledger.missing()).toEqual([]);
    expect(ledger.summary().readBeforeAnswer).toBe(1);
  });

  it('detects overlapping batches of one portal, in one process and between two', () => {
    send()('200');
    const stalled = begin('consumer-1');
    const other = begin('consumer-2');
    const next = begin('consumer-2');
    const beside = (run: number): object => ({
      portal,
      earlier: { process: 'consumer-1', run: stalled, atMs: 7 },
      later: { process: 'consumer-2', run, atMs: 7 },
      goesOn: false,
    });
    expect(ledger.summary()).toMatchObject({
      overlapsWithin: 0,
      overlapsBetween: [beside(other), beside(next)],
    });
    ledger.ended(stalled, []);
    ledger.ended(other, []);
    ledger.began({ process: 'consumer-2', portal, things: [thing], inFlight: 1 });
    expect(ledger.summary().overlapsWithin).toBe(1);
  });

  describe('of an owner that was replaced', () => {
    it('counts its in-flight batch once, whatever ran beside it', () => {
      handleBy('old');
      begin('old');
      for (let run = 0; run < 100; run += 1) handleBy('new');
      expect(most()).toBe(1);
    });

    it('is known by its fault where the order of the batches tells nothing', () => {
      now = 16;
      const ofNew = begin('new#1');
      begin('old#1');
      ledger.ended(ofNew, []);
      handleBy('new#1');
      const frozen = { kind: 'frozen', target: 'old', atMs: 5, plannedMs: 10, endedMs: 15 };
      const { overlapsBetween } = ledger.summary();
      expect([maxOverlaps(overlapsBetween, []), maxOverlaps(overlapsBetween, [frozen])]).toEqual([2, 1]);
    });

    it('is the one that is frozen, not the one that was, nor one that was started again', () => {
      const fault = { kind: 'frozen', plannedMs: 0 };
      begin('old#1');
      now = 14;
      handleBy('new#1');
      handleBy('new#1');
      const { overlapsBetween } = ledger.summary();
      expect(
        maxOverlaps(overlapsBetween, [
          { ...fault, target: 'old', atMs: 5, endedMs: 20 },
          { ...fault, target: 'new', atMs: 6, endedMs: 13 },
        ]),
      ).toBe(1);
      expect(
        maxOverlaps(overlapsBetween, [{ ...fault, kind: 'killed', target: 'new', atMs: 6, endedMs: 13 }]),
      ).toBe(1);
    });

    it('is the one that was frozen in the middle of its batch, also if its successor has lost its connections since', () => {
      begin('old#1');
      now = 40;
      for (let run = 0; run < 3; run += 1) handleBy('new#1');
      const frozen = { kind: 'frozen', target: 'old', atMs: 8, plannedMs: 30, endedMs: 38 };
      const cut = { kind: 'connections cut', target: 'new', atMs: 39, plannedMs: 0, endedMs: 39 };
      expect(maxOverlaps(ledger.summary().overlapsBetween, [frozen, cut])).toBe(1);
    });

    it('counts those that it went on with, whatever its fault tells', () => {
      handleBy('old#1');
      now = 10;
      begin('new#1');
      now = 20;
      for (let run = 0; run < 5; run += 1) handleBy('old#1');
      const frozen = { kind: 'frozen', target: 'old', atMs: 5, plannedMs: 10, endedMs: 15 };
      expect(maxOverlaps(ledger.summary().overlapsBetween, [frozen])).toBe(5);
    });

    it('counts those that it began beside the new one', () => {
      handleBy('old');
      begin('old');
      handleBy('new');
      for (let run = 0; run < 3; run += 1) {
        const ofNew = begin('new');
        handleBy('old');
        ledger.ended(ofNew, []);
      }
      expect(most()).toBe(4);
    });

    it('counts those that it began beside a single long one of the new one', () => {
      handleBy('old');
      begin('new');
      for (let run = 0; run < 5; run += 1) handleBy('old');
      expect(most()).toBe(5);
    });

    it('may be made the owner again by another fault', () => {
      handleBy('old');
      now = 10;
      begin('new');
      now = 20;
      for (let run = 0; run < 5; run += 1) handleBy('old');
      expect([most(5), most(5, 15)]).toEqual([5, 1]);
    });

    it('may be made the owner again when another process is back', () => {
      handleBy('old');
      now = 10;
      begin('new');
      now = 20;
      for (let run = 0; run < 5; run += 1) handleBy('old');
      expect([most([5, 25]), most([5, 15])]).toEqual([5, 1]);
    });
  });

  it('knows no overlap with a process that has died, or with another portal', () => {
    begin('consumer-1');
    ledger.began({ process: 'consumer-2', portal: 'other', things: [thing], inFlight: 0 });
    ledger.died('consumer-1');
    // Sent before it died, and read here only now.
    begin('consumer-1');
    begin('consumer-3');
    expect(ledger.summary().overlapsBetween).toEqual([]);
  });
});
