import { describe, expect, it } from '@jest/globals';
import { silentLog } from '@relay/platform';
import fc from 'fast-check';
import { anEvent } from '../../../../test/support/an-event.js';
import { eventually } from '../../../../test/support/eventually.js';
import { MemoryCrashLog } from '../../test/memory-crash-log.js';
import { recorded, type RecordedReceipt } from '../../test/recorded-delivery.js';
import { Dispatcher } from './dispatcher.js';

/** Writes of one request, in this model. */
const WHOLE = 3;

/** A contact of which an event tells, and whether it is to be written. */
const change = fc.record({ id: fc.nat(12).map(String), isWrong: fc.boolean() });
/** What arrives before the first batch, and while each of the next ones is read. */
const arrivals = fc.array(fc.array(change, { maxLength: 12 }), { minLength: 1, maxLength: 8 });
/** Cannot be called now. */
const busy = { code: 'BUSY', recovery: 'wait', retryAfterMs: 0 };
/** At which batch the portal is busy, for all of it or for its first request alone. */
const busyBatch = fc.record({ at: fc.nat(8), isWhole: fc.boolean() });

describe('a handler that postpones what does not fill a request', () => {
  it('loses nothing, postpones none twice, and ends with all that was to be written', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals, busyBatch, async ([first = [], ...waves], { at, isWhole }) => {
        const wrong = new Set<string>();
        const receipts: RecordedReceipt[] = [];
        let batches = 0;

        const send = (wave: typeof first): void => {
          for (const { id, isWrong } of wave) {
            if (isWrong) wrong.add(id);
            const { delivery, receipt } = recorded(anEvent({ entityId: id, receivedAt: Date.now() }));
            receipts.push(receipt);
            dispatcher.receive(delivery);
          }
        };
        const dispatcher: Dispatcher = new Dispatcher({
          consumer: 'test',
          log: silentLog,
          crashLog: new MemoryCrashLog(),
          batching: { firstMs: 0, maxMs: 0, lingerMs: 0, lingerPerEntryMs: 0, offlineMs: 0 },
          handlers: [
            {
              names: ['ONCRMCONTACTUPDATE'],
              merge: true,
              maxEntries: 7,
              handle: async ({ entries, hasMore }) => {
                const isBusy = batches++ === at;
                if (isBusy && isWhole) throw busy;
                const found = entries.flatMap(({ entityId: id }) =>
                  id !== null && wrong.has(id) ? [id] : [],
                );
                send(waves.shift() ?? []);
                const isMore = hasMore?.(found.length < WHOLE ? 2 : 1) === true;
                const left = isMore ? found.splice(found.length - (found.length % WHOLE)) : [];
                await new Promise(setImmediate);
                const unwritten = isBusy ? found.splice(0, WHOLE) : [];
                for (const id of found) wrong.delete(id);
                return [
                  ...unwritten.map((id) => ({ entity: `CRMCONTACT:${id}`, error: busy })),
                  ...left.map((id) => ({ entity: `CRMCONTACT:${id}`, isPostponed: true as const })),
                ];
              },
            },
          ],
        });
        send(first);
        await eventually(() => {
          for (const { settled } of receipts) expect(settled).toEqual([{ as: 'done' }]);
          expect(dispatcher.state()).toMatchObject({ waiting: 0, batches: 0 });
        });
        expect([...wrong]).toEqual([]);
        await dispatcher.drain();
      }),
      { numRuns: 60 },
    );
  });
});
