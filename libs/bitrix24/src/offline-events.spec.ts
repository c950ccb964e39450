import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { failureOf } from '../test/failure.js';
import { clientOf, Peer } from '../test/peer.js';
import {
  bindOfflineCommand,
  clearReserved,
  clearUnreadable,
  listOfflineHandlers,
  listReserved,
  listWaiting,
  readOfflineAccess,
  readReserved,
  reserveRecords,
  takeRecords,
  toProcessId,
  unbindOfflineCommand,
} from './offline-events.js';
import type { PortalClient } from './portal-client.js';

let peer: Peer;
let client: PortalClient;

beforeEach(async () => {
  peer = await Peer.start();
  client = clientOf(peer);
});
afterEach(() => peer.stop());

const processId = toProcessId('a'.repeat(32));
const messageId = (digit: string) => digit.repeat(32);
const shown = (id: number, more: object = {}) => ({
  ID: String(id),
  TIMESTAMP_X: '2026-11-30T10:00:00+00:00',
  EVENT_NAME: 'ONCRMCONTACTUPDATE',
  EVENT_DATA: { FIELDS: { ID: id } },
  EVENT_ADDITIONAL: { user_id: '1' },
  MESSAGE_ID: messageId(String(id % 10)),
  ...more,
});
const ofCommand = (result: unknown) => ({ body: { result: { result: { only: result }, result_error: [] } } });
const page = (...ids: number[]) => ids.map((id) => shown(id));
const ofPages = (pages: Record<string, unknown[]>, total = 0) => {
  const totals = Object.fromEntries(Object.keys(pages).map((key) => [key, total]));
  return { body: { result: { result: pages, result_error: [], result_total: totals } } };
};
const fifty = (from: number) => page(...Array.from({ length: 50 }, (_, at) => from + at));
const sent = (at = 0) => JSON.parse(peer.received[at]?.text ?? '{}');
/** The parameters of the one command of a batch. */
const sentCommand = (at = 0) => new URLSearchParams(String(sent(at).cmd.only).split('?')[1]);

describe('a process id', () => {
  it.each(['', ' ', '0', 'a'.repeat(31), 'a'.repeat(33), `${'a'.repeat(31)}&`, '../'])(
    'is never %j: nothing is sent',
    async (text) => {
      expect(() => toProcessId(text)).toThrow(TypeError);
      // What slips through the types, such as a row that somebody edited.
      const forged: typeof processId = JSON.parse(JSON.stringify(text));
      await expect(clearReserved(client, forged, [messageId('1')])).rejects.toThrow(TypeError);
      await expect(clearUnreadable(client, forged, [1])).rejects.toThrow(TypeError);
      await expect(readReserved(client, forged)).rejects.toThrow(TypeError);
      expect(peer.received).toEqual([]);
    },
  );

  it('is read with clear=0 only, and clear=1 is sent without one', async () => {
    peer.answer = () => ofCommand({ process_id: processId, events: [] });
    await readReserved(client, processId);
    await reserveRecords(client, 50);
    await takeRecords(client, { lastId: 7, limit: 3 });
    expect([0, 1, 2].map((at) => [sentCommand(at).get('clear'), sentCommand(at).get('process_id')])).toEqual([
      ['0', processId],
      ['0', null],
      ['1', null],
    ]);
    expect(sentCommand(2).get('filter[<=ID]')).toBe('7');
  });
});

describe('clearing', () => {
  it('names the batch and the messages, each once', async () => {
    await clearReserved(client, processId, [messageId('1'), messageId('2'), messageId('1')]);
    expect(sent()).toMatchObject({ process_id: processId, message_id: [messageId('1'), messageId('2')] });
    expect(sent()).not.toHaveProperty('id');
  });

  it('names what has no message id by its own', async () => {
    await clearUnreadable(client, processId, [7, 8, 7]);
    expect(sent()).toMatchObject({ process_id: processId, id: [7, 8] });
    expect(sent()).not.toHaveProperty('message_id');
  });

  it('of no messages sends nothing, and of an invalid one neither', async () => {
    await clearReserved(client, processId, []);
    await clearUnreadable(client, processId, []);
    for (const id of [0, -1, 1.5, Number.NaN]) {
      await expect(clearUnreadable(client, processId, [id])).rejects.toThrow(TypeError);
    }
    await expect(clearReserved(client, processId, [messageId('1'), ''])).rejects.toThrow(TypeError);
    expect(peer.received).toEqual([]);
  });
});

describe('a lost response', () => {
  it('to a call that takes or reserves is not asked for again', async () => {
    peer.answer = () => 'reset';
    expect(await failureOf(reserveRecords(client, 50))).toMatchObject({ code: 'TRANSPORT' });
    expect(await failureOf(takeRecords(client, { lastId: 1, limit: 1 }))).toMatchObject({
      code: 'TRANSPORT',
    });
    expect(peer.received).toHaveLength(2);
  });

  it('to a call that only reads or clears is', async () => {
    peer.answer = (_, count) => (count === 1 ? 'reset' : ofCommand({ process_id: null, events: [shown(1)] }));
    expect((await readReserved(client, processId)).records).toHaveLength(1);
    peer.answer = (_, count) => (count === 3 ? 'reset' : { body: { result: true } });
    await clearReserved(client, processId, [messageId('1')]);
    expect(peer.received).toHaveLength(4);
  });
});

describe('a batch', () => {
  it('has what the portal sent, and no batch of nothing', async () => {
    peer.answer = () => ofCommand({ process_id: processId, events: [shown(1)] });
    expect((await reserveRecords(client, 50)).batch).toEqual({
      processId,
      unreadable: { count: 0, ids: [] },
      records: [
        {
          id: 1,
          messageId: messageId('1'),
          name: 'ONCRMCONTACTUPDATE',
          data: { FIELDS: { ID: 1 } },
          timestampMs: Date.UTC(2026, 10, 30, 10),
        },
      ],
    });
    for (const process_id of [processId, null, '']) {
      peer.answer = () => ofCommand({ process_id, events: [] });
      expect((await reserveRecords(client, 50)).batch).toBeUndefined();
    }
  });

  it.each([false, null, '', 7, [], { deep: { er: [1] } }])('may have %j as EVENT_DATA', async (data) => {
    peer.answer = () => ofCommand({ process_id: processId, events: [shown(1, { EVENT_DATA: data })] });
    expect((await reserveRecords(client, 50)).batch?.records).toMatchObject([{ id: 1, data }]);
  });

  it('shows what can be read of it', async () => {
    const odd = [
      null,
      'x',
      [],
      {},
      shown(2, { MESSAGE_ID: 'short' }),
      shown(3, { ID: '-1' }),
      shown(4, { EVENT_NAME: 5 }),
    ];
    peer.answer = () =>
      ofCommand({
        process_id: processId,
        events: [...odd, shown(1, { TIMESTAMP_X: 'yesterday' }), shown(5, { EVENT_ADDITIONAL: false })],
      });
    const { batch } = await reserveRecords(client, 50);
    expect(batch?.unreadable).toEqual({ count: odd.length, ids: [2, 4] });
    expect(batch?.records.map(({ id, timestampMs }) => [id, timestampMs === undefined])).toEqual([
      [1, true],
      [5, false],
    ]);
  });

  it('of ten thousand records is read', async () => {
    const events = Array.from({ length: 10_000 }, (_, at) => shown(at + 1));
    peer.answer = () => ofCommand({ process_id: processId, events });
    expect((await reserveRecords(client, 1_000)).batch?.records).toHaveLength(10_000);
  });

  it.each([
    null,
    7,
    'text',
    [],
    { events: {} },
    { process_id: 'short', events: [shown(1)] },
    { events: [shown(1)] },
  ])('that is %j is BAD_ANSWER', async (result) => {
    peer.answer = () => ofCommand(result);
    expect(await failureOf(reserveRecords(client, 50))).toMatchObject({ code: 'BAD_ANSWER' });
  });

  it('is limited', async () => {
    for (const limit of [0, -1, 1.5, 2_501, Number.NaN]) {
      await expect(reserveRecords(client, limit)).rejects.toThrow(RangeError);
    }
    expect(peer.received).toEqual([]);
  });

  it('that the plan rejects is an error of the command alone', async () => {
    const outcomes: unknown[] = [];
    client = clientOf(peer, {
      onOutcome: (outcome) => {
        outcomes.push(outcome);
        return Promise.resolve();
      },
    });
    peer.answer = () => ({
      body: { result: { result: [], result_error: { only: { error: 'WRONG_LICENSE' } } } },
    });
    expect(await failureOf(reserveRecords(client, 50))).toMatchObject({ code: 'WRONG_LICENSE' });
    // The portal was asked in vain, and is not to be suspended for it.
    expect(JSON.stringify(outcomes)).not.toContain('WRONG_LICENSE');
  });
});

describe('a list', () => {
  it('of what waits goes on after an id', async () => {
    peer.answer = () => ofPages({ p0: page(8) }, 1);
    const found = await listWaiting(client, { afterId: 7, untilMs: Date.UTC(2026, 10, 30) });
    expect(found).toMatchObject({ isEnd: true, lastId: 8, left: 0, records: [{ id: 8 }] });
    const command = new URLSearchParams(String(sent().cmd.p0).split('?')[1]);
    expect(Object.fromEntries(command)).toEqual({
      'filter[PROCESS_ID]': '',
      'filter[ERROR]': '0',
      'filter[>ID]': '7',
      'filter[<=TIMESTAMP_X]': '2026-11-30T00:00:00.000Z',
      'order[ID]': 'ASC',
    });
  });

  it('of what waits is as many pages as are asked for, until one that is short', async () => {
    peer.answer = () => ofPages({ p0: fifty(1), p1: fifty(51), p2: page(101), p3: fifty(1) }, 500);
    const found = await listWaiting(client, { afterId: 0, pages: 4 });
    expect(peer.received).toHaveLength(1);
    expect(found).toMatchObject({ isEnd: true, lastId: 101 });
    expect(found.records).toHaveLength(101);
    expect(String(sent().cmd.p1)).toContain(encodeURIComponent('$result[p0][49][ID]'));
  });

  it('of what waits passes by what cannot be read, and ends at a page that repeats', async () => {
    const unreadable = fifty(1).map((one) => ({ ...one, MESSAGE_ID: 'short' }));
    peer.answer = () => ofPages({ p0: unreadable }, 60);
    expect(await listWaiting(client, { afterId: 0 })).toMatchObject({
      records: [],
      unreadable: { count: 50 },
      lastId: 50,
      isEnd: false,
      left: 10,
    });
    expect(await listWaiting(client, { afterId: 50 })).toMatchObject({ lastId: undefined, isEnd: true });
  });

  it('of batches ends, whatever the portal answers', async () => {
    const repeated = Array.from({ length: 50 }, () => shown(1, { PROCESS_ID: processId }));
    peer.answer = () => ofCommand(repeated);
    expect(await listReserved(client, 9)).toEqual({ processIds: new Set([processId]), isComplete: true });
    expect(peer.received).toHaveLength(2);
    const endless = (_: unknown, count: number) =>
      ofCommand(fifty(count * 50).map((one) => ({ ...one, PROCESS_ID: processId, EVENT_NAME: null })));
    peer.answer = endless;
    expect(await listReserved(client, 3)).toEqual({ processIds: new Set([processId]), isComplete: false });
    peer.answer = () => ofCommand([shown(1, { PROCESS_ID: '' }), shown(2, { PROCESS_ID: 'x' }), 5]);
    expect((await listReserved(client, 3)).processIds).toEqual(new Set());
  });
});

describe('access', () => {
  it.each([
    ['Y', true],
    ['ua_selfhosted', true],
    ['N', false],
    [7, false],
  ])('with the feature %j can reserve: %s', async (value, canReserve) => {
    peer.answer = () => ({
      body: {
        result: {
          result: { administrator: false, extended: { value }, connector: { value: 'N' } },
          result_error: [],
        },
      },
    });
    const access = { isAdministrator: false, canReserve, hasConnector: false };
    expect(await readOfflineAccess(client)).toEqual(access);
  });
});

describe('handlers', () => {
  it('are commands that name the event', () => {
    expect(bindOfflineCommand('ONCRMDEALADD').params).toEqual({
      event: 'ONCRMDEALADD',
      event_type: 'offline',
    });
    expect(() => unbindOfflineCommand('')).toThrow(TypeError);
    expect(() => bindOfflineCommand('')).toThrow(TypeError);
  });

  it('are ours without a connector', async () => {
    peer.answer = () => ({
      body: {
        result: [
          { event: 'onCrmDealAdd', connector_id: '', offline: 1 },
          { event: 'ONCRMDEALUPDATE', connector_id: 'x', offline: 1 },
          { event: 'ONCRMDEALDELETE', handler: 'https://x.test/', auth_type: '0', offline: 0 },
        ],
      },
    });
    expect([...(await listOfflineHandlers(client))]).toEqual(['ONCRMDEALADD']);
  });
});
