import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { eventually } from '../../../../test/support/eventually.js';
import { TestHandler, TestSimulator, type Answer } from '../../test/support.js';

let b24: TestSimulator;
let token: string;

beforeEach(async () => {
  b24 = await TestSimulator.start();
  token = (await b24.install()).accessToken;
});
afterEach(() => b24.close());

const records = z.array(z.record(z.string(), z.unknown()));
const call = (method: string, params: object = {}) => b24.callAs(token, `event.${method}`, params);
const bindOffline = (event = 'ONCRMCONTACTUPDATE', more: object = {}) =>
  call('bind', { event, event_type: 'offline', ...more });
const give = (features: object) =>
  b24.send('/_sim/portals/demo', { method: 'PATCH', body: JSON.stringify({ features }) });
const extended = () => give({ rest_offline_extended: 'Y', rest_auth_connector: 'de_selfhosted' });
const change = (id: number) => b24.control('items/3', { id, fields: { name: 'x' } });
const list = async (params: object = {}) => records.parse((await call('offline.list', params)).at('result'));
const eventsOf = (answer: Answer) => records.parse(answer.at('result.events'));
const idsOf = (found: z.output<typeof records>) => found.map(({ ID }) => ID);
const rejection = (answer: Answer) => [...Object(answer.error), answer.at('error_description')];

const changeAll = async (count: number) => {
  await bindOffline();
  const answer = await b24.control('items/3', { count, fields: { name: 'x' }, silent: true });
  expect(answer.status).toBeLessThan(300);
  await b24.control('mass-update', { entityTypeId: 3, count, fields: { name: 'y' } });
};
const filtered = async (params: object) =>
  idsOf(eventsOf(await call('offline.get', { clear: 0, ...params })));

describe('an offline binding', () => {
  it('needs an administrator and an application, a known event, and is made once for a connector', async () => {
    const page = await TestHandler.start();
    await b24.control('open', { url: page.url, userId: 7 });
    const hers = page.forms[0]?.get('AUTH_ID') ?? '';
    await page.close();
    const given = { event: 'ONCRMCONTACTUPDATE', event_type: 'offline' };
    expect(rejection(await b24.callAs(hers, 'event.bind', given))).toEqual([
      403,
      'ACCESS_DENIED',
      'Access denied! Offline events binding requires administrator access rights',
    ]);
    for (const method of ['get', 'list', 'clear', 'error']) {
      expect((await b24.callAs(hers, `event.offline.${method}`)).error).toEqual([403, 'ACCESS_DENIED']);
      expect((await b24.call(`event.offline.${method}`)).error).toEqual([403, 'WRONG_AUTH_TYPE']);
    }
    expect((await b24.call('event.bind', given)).error).toEqual([403, 'WRONG_AUTH_TYPE']);
    expect((await bindOffline('ONNONSENSE')).error).toEqual([400, 'ERROR_EVENT_NOT_FOUND']);
    expect((await bindOffline('ONTASKADD')).error).toEqual([400, 'ERROR_EVENT_NOT_FOUND']);
    expect(rejection(await bindOffline('ONOFFLINEEVENT'))).toEqual([
      400,
      'ERROR_ARGUMENT',
      'Offline event cannot be registered for this event',
    ]);
    expect((await bindOffline()).at('result')).toBe(true);
    expect(rejection(await bindOffline())).toEqual([
      400,
      'ERROR_CORE',
      'Unable to set event handler: Handler already binded',
    ]);
    await extended();
    expect((await bindOffline('ONCRMCONTACTUPDATE', { auth_connector: 'relay' })).at('result')).toBe(true);
    expect((await call('get')).at('result')).toEqual([
      { event: 'ONCRMCONTACTUPDATE', connector_id: '', offline: 1 },
      { event: 'ONCRMCONTACTUPDATE', connector_id: 'relay', offline: 1 },
    ]);
    expect((await b24.callAs(hers, 'event.get')).at('result')).toEqual([]);
    expect((await call('unbind', given)).at('result')).toEqual({ count: 1 });
    expect((await call('get')).at('result')).toHaveLength(1);
  });

  it('is gone with the application, and stays with an update', async () => {
    await bindOffline();
    await b24.control('app-update');
    expect((await call('get')).at('result')).toHaveLength(1);
    token = (await b24.install()).accessToken;
    expect((await call('get')).at('result')).toEqual([]);
  });

  it.each(['bind', 'get', 'offline.get', 'offline.list', 'offline.clear'])(
    'event.%s with a connector is rejected without the feature',
    async (method) => {
      const rejected = await call(method, {
        auth_connector: 'relay',
        event: 'ONCRMCONTACTADD',
        event_type: 'offline',
      });
      expect(rejected.error).toEqual([403, 'WRONG_LICENSE']);
    },
  );
});

describe('a record', () => {
  it('is one for a thousand changes, keeps its ID, and is another for another event', async () => {
    await bindOffline();
    await bindOffline('ONCRMCONTACTDELETE');
    await change(2);
    const [first] = await list();
    expect(first).toEqual({
      ID: '1',
      TIMESTAMP_X: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/),
      EVENT_NAME: 'ONCRMCONTACTUPDATE',
      EVENT_DATA: { FIELDS: { ID: 2 } },
      EVENT_ADDITIONAL: { user_id: '1' },
      MESSAGE_ID: expect.stringMatching(/^[\da-f]{32}$/),
      PROCESS_ID: '',
      ERROR: '0',
    });
    b24.skip(60);
    await change(2);
    const [again, ...others] = await list();
    expect(others).toEqual([]);
    expect(again).toMatchObject({ ID: '1', MESSAGE_ID: first?.['MESSAGE_ID'] });
    expect(again?.['TIMESTAMP_X']).not.toBe(first?.['TIMESTAMP_X']);
    await b24.send('/_sim/portals/demo/items/3/2', { method: 'DELETE' });
    expect((await list()).map(({ EVENT_NAME }) => EVENT_NAME)).toEqual([
      'ONCRMCONTACTUPDATE',
      'ONCRMCONTACTDELETE',
    ]);
  });

  it('is made anew while the former one is reserved', async () => {
    await extended();
    await bindOffline();
    await change(2);
    await call('offline.get', { clear: 0 });
    await change(2);
    expect((await list()).map(({ ID, PROCESS_ID }) => [ID, PROCESS_ID === ''])).toEqual([
      ['1', false],
      ['2', true],
    ]);
  });

  it('that is marked as an error stays marked and swallows repeats', async () => {
    await extended();
    await bindOffline();
    await change(2);
    const taken = await call('offline.get', { clear: 0 });
    const [{ MESSAGE_ID } = {}] = eventsOf(taken);
    const processId = taken.text('result.process_id');
    await change(2);
    await call('offline.error', { process_id: processId, message_id: [MESSAGE_ID] });
    await change(2);
    expect((await list()).map(({ ID, ERROR, PROCESS_ID }) => [ID, ERROR, PROCESS_ID])).toEqual([
      ['1', '1', ''],
    ]);
    expect(eventsOf(await call('offline.get', { clear: 0 }))).toEqual([]);
    expect(eventsOf(await call('offline.get', { clear: 0, error: 1 }))).toHaveLength(1);
  });

  it('is not made before the installation is finished, nor after the payment has expired', async () => {
    token = (await b24.control('install', { kind: 'page' })).text('access_token');
    await bindOffline();
    await change(2);
    expect(await list()).toEqual([]);
    const page = await TestHandler.start();
    token = (await b24.control('install', { kind: 'page', url: page.url })).text('access_token');
    await page.close();
    await bindOffline();
    await b24.control('suspend', { reason: 'payment' });
    await change(2);
    await b24.control('suspend', { reason: null });
    expect(await list()).toEqual([]);
    await change(2);
    expect(await list()).toHaveLength(1);
  });

  it.each([
    [false, '', 0],
    [true, '', 1],
    [false, 'relay', 1],
  ])(
    'of a write of our own (returns: %s, connector of the write: "%s"): %s',
    async (offlineOwnWrites, connector, count) => {
      await extended();
      await b24.send('/_sim/portals/demo', { method: 'PATCH', body: JSON.stringify({ offlineOwnWrites }) });
      await bindOffline();
      const more = connector === '' ? {} : { auth_connector: connector };
      await b24.callAs(token, 'crm.item.update', { entityTypeId: 3, id: 2, fields: { name: 'x' }, ...more });
      expect(await list()).toHaveLength(count);
    },
  );

  it('of an event without data has EVENT_DATA false', async () => {
    await bindOffline('ONCRMDEALADD');
    await b24.control('events', { event: 'ONCRMDEALADD', by: 'robot' });
    expect(await list()).toMatchObject([{ EVENT_DATA: false, EVENT_ADDITIONAL: { user_id: 0 } }]);
  });
});

describe('event.offline.get', () => {
  it('gives and deletes without clear=0, which needs the feature', async () => {
    await bindOffline();
    await change(2);
    expect((await call('offline.get', { clear: 0 })).error).toEqual([403, 'WRONG_LICENSE']);
    const taken = await call('offline.get');
    expect([taken.at('result.process_id'), eventsOf(taken).length]).toEqual([null, 1]);
    expect(await list()).toEqual([]);
  });

  it.each(['Y', 'ua_selfhosted'])('reserves with clear=0 where the feature is %s', async (value) => {
    await give({ rest_offline_extended: value });
    await bindOffline();
    expect((await call('offline.get', { clear: 0 })).text('result.process_id')).toMatch(/^[\da-f]{32}$/);
  });

  it('gives disjoint sets to parallel calls, fifty by default, by time', async () => {
    await extended();
    await changeAll(120);
    const taken = await Promise.all([1, 2, 3].map(() => call('offline.get', { clear: 0 })));
    const sets = taken.map((answer) => idsOf(eventsOf(answer)));
    expect(sets.map(({ length }) => length).toSorted((one, other) => one - other)).toEqual([20, 50, 50]);
    expect(new Set(sets.flat()).size).toBe(120);
    expect(new Set(taken.map((answer) => answer.at('result.process_id'))).size).toBe(3);
  });

  it('reads a batch again by its process id; with clear=1 deletes all of it, also beyond limit', async () => {
    await extended();
    await changeAll(5);
    const taken = await call('offline.get', { clear: 0 });
    const processId = taken.text('result.process_id');
    const again = await call('offline.get', { clear: 0, process_id: processId });
    expect(again.at('result')).toEqual(taken.at('result'));
    expect(eventsOf(await call('offline.get', { process_id: processId, limit: 2 }))).toHaveLength(2);
    expect(await list()).toEqual([]);
  });

  it('filters, orders and limits, and rejects what it does not know', async () => {
    await extended();
    await changeAll(5);
    expect(await filtered({ filter: { '>ID': 3 }, order: { ID: 'DESC' }, limit: 1 })).toEqual(['5']);
    const [{ MESSAGE_ID } = {}] = await list();
    expect(await filtered({ filter: { MESSAGE_ID: [MESSAGE_ID] } })).toEqual(['1']);
    const past = new Date(b24.nowMs() - 3_600_000).toISOString();
    expect(await filtered({ filter: { '<TIMESTAMP_X': past } })).toEqual([]);
    for (const bad of [
      { filter: { PROCESS_ID: '' } },
      { filter: { '@ID': [1] } },
      { order: { ID: 'up' } },
      { limit: 0 },
    ]) {
      expect((await call('offline.get', bad)).error).toEqual([400, 'ERROR_ARGUMENT']);
    }
  });

  it('whose answer is lost has deleted, or reserved, what list then shows', async () => {
    await extended();
    await bindOffline();
    await change(2);
    await b24.control('faults', { match: 'event.offline.get', kind: 'lost' });
    await expect(call('offline.get', { clear: 0 })).rejects.toThrow('fetch failed');
    const [reserved] = await list();
    const processId = String(reserved?.['PROCESS_ID']);
    expect(processId).toMatch(/^[\da-f]{32}$/);
    expect(eventsOf(await call('offline.get', { clear: 0 }))).toEqual([]);
    expect(eventsOf(await call('offline.get', { clear: 0, process_id: processId }))).toHaveLength(1);
    await change(2);
    await b24.control('faults', { match: 'event.offline.get', kind: 'lost' });
    await expect(call('offline.get', {})).rejects.toThrow('fetch failed');
    expect(idsOf(await list())).toEqual(['1']);
  });
});

describe('event.offline.clear', () => {
  it('deletes named messages, named ids, or the whole batch; and with an empty process id what is in none', async () => {
    await extended();
    await bindOffline();
    const take = async (...ids: number[]) => {
      for (const id of ids) await change(id);
      return call('offline.get', { clear: 0 });
    };
    const taken = await take(1, 2, 3);
    const processId = taken.text('result.process_id');
    const [first, second] = eventsOf(taken);
    const clear = (params: object) => call('offline.clear', { process_id: processId, ...params });
    expect((await call('offline.clear')).error).toEqual([400, 'ERROR_ARGUMENT']);
    expect((await clear({ message_id: ['short'] })).error).toEqual([400, 'ERROR_ARGUMENT']);
    await clear({ message_id: [first?.['MESSAGE_ID']], id: [second?.['ID']] });
    expect(idsOf(await list())).toEqual(['2', '3']);
    await clear({ id: [2] });
    expect(idsOf(await list())).toEqual(['3']);
    await clear({ auth_connector: 'other' });
    await clear({ process_id: 'f'.repeat(32) });
    expect(idsOf(await list())).toEqual(['3']);
    await clear({ message_id: [] });
    expect(await list()).toEqual([]);
    await take(1);
    await change(2);
    expect((await clear({ process_id: '' })).at('result')).toBe(true);
    expect((await list()).map(({ PROCESS_ID }) => PROCESS_ID === '')).toEqual([false]);
  });

  it('error with a wrong process id marks nothing, and deletes unmarked records of the message', async () => {
    await extended();
    await bindOffline();
    await change(1);
    const [{ MESSAGE_ID } = {}] = await list();
    const failed = await call('offline.error', { process_id: 'f'.repeat(32), message_id: [MESSAGE_ID] });
    expect(failed.at('result')).toBe(true);
    expect(await list()).toEqual([]);
  });
});

describe('event.offline.list', () => {
  it('has pages of fifty, with total and next, and filters by batch', async () => {
    await extended();
    await bindOffline();
    await b24.control('items/3', { count: 70, fields: { name: 'x' }, silent: true });
    await b24.control('mass-update', { entityTypeId: 3, count: 70, fields: { name: 'y' } });
    const first = await call('offline.list');
    expect([records.parse(first.at('result')).length, first.at('total'), first.at('next')]).toEqual([
      50, 70, 50,
    ]);
    const second = await call('offline.list', { start: 50 });
    expect([records.parse(second.at('result')).length, second.at('next')]).toEqual([20, undefined]);
    await call('offline.get', { clear: 0, limit: 3 });
    expect(await list({ filter: { '!PROCESS_ID': '' } }).catch(() => 'rejected')).toBe('rejected');
    expect(await list({ filter: { '>PROCESS_ID': '' } })).toHaveLength(3);
    expect((await call('offline.list', { filter: { PROCESS_ID: '' } })).at('total')).toBe(67);
  });
});

it('reserved records are deleted after thirty days', async () => {
  await extended();
  await bindOffline();
  await change(1);
  await call('offline.get', { clear: 0 });
  await change(2);
  b24.skip(30 * 24 * 3600 + 1);
  const answer = await b24.send('/_sim/portals/demo/offline');
  expect(records.parse(answer.at('records')).map(({ id }) => id)).toEqual([2]);
});

describe('ONOFFLINEEVENT', () => {
  it('comes at once, not again within minTimeout, has no data, and carries a refresh token', async () => {
    const handler = await TestHandler.start();
    try {
      const bound = await call('bind', {
        event: 'ONOFFLINEEVENT',
        handler: handler.url,
        options: { minTimeout: 10 },
      });
      expect(bound.at('result')).toBe(true);
      await bindOffline();
      await b24.control('mass-update', { entityTypeId: 3, count: 3, fields: { name: 'y' } });
      await eventually(() => expect(handler.forms).toHaveLength(1));
      await change(1);
      b24.skip(11);
      await change(1);
      await eventually(() => expect(handler.forms).toHaveLength(2));
      const [form] = handler.forms;
      const keys = [...(form?.keys() ?? [])];
      expect(keys.filter((key) => key.startsWith('data') || key === 'event_handler_id')).toEqual([]);
      expect(form?.get('event')).toBe('ONOFFLINEEVENT');
      expect(form?.get('auth[refresh_token]')).toMatch(/^[\da-f]{32}$/);
    } finally {
      await handler.close();
    }
  });
});
