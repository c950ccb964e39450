import { describe, expect, it } from '@jest/globals';
import { type PortalEvent } from '@relay/bus';
import { silentLog, deferred } from '@relay/platform';
import { anEvent } from '../../../../test/support/an-event.js';
import { MemoryCrashLog } from '../../test/memory-crash-log.js';
import { recorded, type RecordedReceipt } from '../../test/recorded-delivery.js';
import { eventually } from '../../../../test/support/eventually.js';
import type { PortalBatch } from '../scheduler/batch.js';
import { Dispatcher } from '../scheduler/dispatcher.js';
import { suspectLimit } from './poison-detector.js';

interface Waiting {
  event: PortalEvent;
  deliveries: number;
}

/** Number of crashes, and how every event was settled in the end. */
interface Lives {
  crashes: number;
  codes: Map<PortalEvent, string>;
  alone: string[];
}

/**
 * A consumer that crashes on some events and is restarted each time until everything is settled: what was unsettled at
 * the crash is redelivered with a higher delivery count.
 */
async function live(events: readonly PortalEvent[], kills: (batch: PortalBatch) => boolean): Promise<Lives> {
  const crashLog = new MemoryCrashLog();
  const lives: Lives = { crashes: 0, codes: new Map(), alone: [] };
  let waiting: Waiting[] = events.map((event) => ({ event, deliveries: 0 }));
  while (waiting.length > 0 && lives.crashes < 30) {
    const died = deferred<void>();
    const receipts = new Map<Waiting, RecordedReceipt>();
    let isDead = false;
    const dispatcher = new Dispatcher({
      consumer: 'mortal',
      log: silentLog,
      crashLog,
      prefetch: 12_500,
      batching: { firstMs: 0, maxMs: 0, lingerMs: 0, lingerPerEntryMs: 0, offlineMs: 0 },
      handlers: [
        {
          names: ['ONCRMCONTACTUPDATE'],
          merge: true,
          maxEntries: 2_500,
          handle: async (batch) => {
            if (kills(batch)) {
              isDead = true;
              for (const receipt of receipts.values()) receipt.lost = true;
              died.resolve();
            }
            // A crashed process does not settle anything.
            if (isDead) await new Promise(() => undefined);
            return [];
          },
        },
      ],
    });
    for (const each of waiting) {
      const { delivery, receipt } = recorded(each.event);
      receipt.deliveryCount = each.deliveries;
      receipts.set(each, receipt);
      dispatcher.receive(delivery);
    }
    await Promise.race([
      died.promise,
      eventually(() => {
        if (!isDead && [...receipts.values()].some(({ settled }) => settled.length === 0)) {
          throw new Error('not yet');
        }
      }),
    ]);
    if (isDead) lives.crashes += 1;
    const left: Waiting[] = [];
    for (const [{ event, deliveries }, { settled }] of receipts) {
      const [end] = settled;
      if (end) lives.codes.set(event, end.as === 'dead' ? end.failure.code : end.as);
      else left.push({ event, deliveries: deliveries + 1 });
    }
    waiting = left;
  }
  return lives;
}

const contact = (memberId: string, id: number): PortalEvent => anEvent({ memberId, entityId: String(id) });

describe('a poison event that crashes the process', () => {
  it('is found among thousands, and nothing else is quarantined', async () => {
    const flood = Array.from({ length: 3_000 }, (_, id) => contact('flood', id));
    const others = Array.from({ length: 500 }, (_, portal) => contact(`portal${portal}`, 1));
    const culprit = flood[1_700];
    const { codes, crashes } = await live([...flood, ...others], ({ memberId, entries }) =>
      entries.some(({ entityId }) => memberId === 'flood' && entityId === culprit?.entityId),
    );
    const dead = [...codes].filter(([, code]) => code !== 'done');
    expect(dead).toEqual([[culprit, 'poison']]);
    expect(codes.size).toBe(3_500);
    expect(crashes).toBe(13);
  });

  it('is found after six crashes when it is the only one of its portal', async () => {
    const events = Array.from({ length: 50 }, (_, portal) => contact(`portal${portal}`, 1));
    const { codes, crashes } = await live(events, ({ memberId }) => memberId === 'portal20');
    expect([...codes.values()].filter((code) => code !== 'done')).toEqual(['poison']);
    expect(codes.get(events[20] ?? anEvent())).toBe('poison');
    expect(crashes).toBe(6);
  });

  it('is found twice', async () => {
    const events = Array.from({ length: 400 }, (_, id) => contact('one', id));
    const { codes } = await live(events, ({ entries }) =>
      entries.some(({ entityId }) => entityId === '100' || entityId === '300'),
    );
    const dead = [...codes].filter(([, code]) => code !== 'done');
    expect(dead.map(([{ entityId }]) => entityId)).toEqual(['100', '300']);
  });
});

describe('events of a process that is stopped from outside, as at a deployment', () => {
  it('are never quarantined, however often it happens and whatever their delivery count', async () => {
    const events = Array.from({ length: 40 }, (_, id) => contact(`portal${id % 4}`, id));
    let kills = 20;
    const { codes, crashes } = await live(events, () => kills-- > 0 && kills % 2 === 0);
    expect(new Set(codes.values())).toEqual(new Set(['done']));
    expect(crashes).toBeGreaterThan(5);
  });
});

/** One event whose portal was in flight at two crashes; it waits `waits` times for that portal, and then succeeds. */
function suspected({ waits }: { waits: number }) {
  const event = contact('slow', 1);
  const crashLog = new MemoryCrashLog();
  crashLog.rows.set('slow', { unfinished: 2, entity: undefined, starts: 0 });
  const work = { whileHandling: (): void => undefined };
  let runs = 0;
  const dispatcher = new Dispatcher({
    consumer: 'lonely',
    log: silentLog,
    crashLog,
    handlers: [
      {
        names: ['ONCRMCONTACTUPDATE'],
        merge: true,
        maxEntries: 2_500,
        handle: async () => {
          work.whileHandling();
          if (++runs <= waits) throw Object.assign(new Error('limit'), { recovery: 'wait', retryAfterMs: 1 });
          return [];
        },
      },
    ],
  });
  const { delivery, receipt } = recorded(event);
  receipt.deliveryCount = 3;
  return { crashLog, work, receipt, begin: () => dispatcher.receive(delivery) };
}

describe('a harmless event that has to run exclusively', () => {
  it('is not taken for poison even if the database is down whenever it has ended', async () => {
    const { crashLog, work, receipt, begin } = suspected({ waits: 5 });
    const end = crashLog.end.bind(crashLog);
    let isAway = false;
    work.whileHandling = () => {
      isAway = true;
    };
    crashLog.end = (memberId, done) => {
      const wasAway = isAway;
      isAway = false;
      return wasAway ? Promise.reject(new Error('no database')) : end(memberId, done);
    };
    begin();
    await eventually(() => expect(receipt.settled).toEqual([{ as: 'done' }]));
  });

  it('is not taken for poison even if its beginnings were recorded and no response came', async () => {
    const { crashLog, receipt, begin } = suspected({ waits: 0 });
    const alone = crashLog.beginSolo.bind(crashLog);
    let lost = 4;
    crashLog.beginSolo = async (memberId, entity) => {
      const before = await alone(memberId, entity);
      if (lost-- > 0) throw new Error('no answer');
      return before;
    };
    begin();
    await eventually(() => expect(receipt.settled).toEqual([{ as: 'done' }]));
  });
});

describe('the entry limit of a suspect batch', () => {
  it('shrinks with each batch that did not end, down to one, and grows with each that did', () => {
    expect([0, 1, 2, 3, 4, 9].map((unfinished) => suspectLimit(2_500, unfinished, 0))).toEqual([
      2_500, 312, 39, 4, 1, 1,
    ]);
    expect([0, 1, 2, 20].map((ended) => suspectLimit(2_500, 4, ended))).toEqual([1, 2, 4, 2_500]);
  });
});
