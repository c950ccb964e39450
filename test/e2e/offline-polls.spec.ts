import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Bitrix24Error, type Command } from '@relay/bitrix24';
import { EventArrivals } from '@relay/portals';
import { z } from 'zod';
import { MAX_PUT_OFF_MS, ONLINE_WITHIN_MS, SIGNALLED_MS } from '../../apps/offline-puller/src/schedule.js';
import { PollStateStore } from '../../apps/offline-puller/src/poll-state-store.js';
import { KilledError, MortalProcess, OfflineRig, type Tampering } from '../support/offline-rig.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';
import { control } from '../support/simulator-control.js';

const contacts = [1, 2, 3];
const HOUR_MS = 3_600_000;
const plans = [
  ['reserves', true],
  ['only takes', false],
] as const;
const answer = z.looseObject({ events: z.array(z.looseObject({ ID: z.string() })) });
const list = z.array(z.looseObject({ ID: z.string() }));
const reserved = z.object({ process_id: z.string(), events: z.array(z.object({ MESSAGE_ID: z.string() })) });

type Entry = Record<string, unknown> & { ID: string };

/** Changes the records that a portal shows. */
const showing = (change: (entry: Entry) => Entry): Tampering => ({
  answered: ({ method }, result) => {
    if (method === 'event.offline.list') return list.parse(result).map(change);
    if (method !== 'event.offline.get') return result;
    const { events, ...more } = answer.parse(result);
    return { ...more, events: events.map(change) };
  },
});

/** Answers that it has deleted records, and keeps them. */
const keeping: Tampering = {
  sent: (command: Command): Command => {
    const { method, params = {} } = command;
    if (method === 'event.offline.clear') return { method: 'app.info' };
    if (method !== 'event.offline.get' || params['clear'] !== 1) return command;
    return { method: 'event.offline.list', params: { filter: { PROCESS_ID: '', ERROR: 0 } } };
  },
  answered: ({ method, params }, result) => {
    if (method === 'event.offline.clear') return true;
    if (method !== 'event.offline.get' || params?.['clear'] !== 1) return result;
    return { process_id: null, events: result };
  },
};

/*
 * Real: simulator, PostgreSQL, REST client, the code of offline-puller. Instead of the bus: a list.
 */
let rig: OfflineRig;
let skippedMs = 0;

beforeAll(async () => {
  rig = await OfflineRig.start(() => Date.now() + skippedMs);
}, 60_000);
afterAll(() => rig?.stop());

const emit = (name: string, event: string, data: object) =>
  control('POST', `${rig.simulator.url}/_sim/portals/${name}/events`, { event, data, by: 'robot' });
const changeAll = async (portal: SimulatedPortal): Promise<Map<number, number>> => {
  const at = new Map<number, number>();
  for (const id of contacts) at.set(id, await rig.change(portal, id));
  return at;
};
const ageSearch = ({ memberId }: SimulatedPortal) =>
  rig.source.query(
    `UPDATE offline.visits SET listed_at = now() - interval '25 hours', next_at = now() + interval '5 minutes' WHERE member_id = $1`,
    [memberId],
  );
const comesOnline = async ({ memberId }: SimulatedPortal, agoMs = 0): Promise<void> => {
  const arrivals = new EventArrivals(rig.source, () => Date.now() - agoMs);
  arrivals.note(memberId, 'ONCRMCONTACTUPDATE');
  await arrivals.flush();
};
const beDue = ({ memberId }: SimulatedPortal, forMs: number) =>
  rig.source.query(
    'UPDATE offline.visits SET next_at = clock_timestamp() - make_interval(secs => $2) WHERE member_id = $1',
    [memberId, forMs / 1_000],
  );
const isLeased = async ({ memberId }: SimulatedPortal) =>
  (await new PollStateStore(rig.source).leaseDue(1_000)).includes(memberId);

describe('the reading of an offline queue', () => {
  it.each([
    ['reserve', true, '0'],
    ['take', false, '1'],
  ])(
    'a lost answer to the request that is to %s records loses none of them',
    async (what, canReserve, clear) => {
      const portal = await rig.readablePortal(`lost-${what}`, { canReserve });
      const at = new Map<number, number>();
      for (const id of contacts) at.set(id, await rig.change(portal, id));
      await portal.orderFault('event.offline.get', 'lost', { where: { clear } });
      await expect(rig.poll(portal)).rejects.toBeInstanceOf(Bitrix24Error);
      await rig.poll(portal);
      for (const [id, changedAt] of at) expect(rig.publishedAfter(id, changedAt)).toBeGreaterThan(0);
      expect(await rig.left(portal)).toEqual({ records: [], rows: [] });
    },
  );

  it('two readers at once publish everything, and leave nothing', async () => {
    for (const canReserve of [true, false]) {
      const portal = await rig.readablePortal(`two-${canReserve}`, { canReserve });
      const at = new Map<number, number>();
      for (const id of contacts) at.set(id, await rig.change(portal, id));
      await Promise.all([rig.poll(portal), rig.poll(portal)]);
      for (const [id, changedAt] of at) expect(rig.publishedAfter(id, changedAt)).toBeGreaterThan(0);
      expect(await rig.left(portal)).toEqual({ records: [], rows: [] });
    }
  });

  it('an idle portal costs one request a poll', async () => {
    for (const canReserve of [true, false]) {
      const portal = await rig.readablePortal(`idle-${canReserve}`, { canReserve });
      await portal.clearStatistics();
      expect(await rig.poll(portal)).toBe(0);
      expect((await portal.statistics()).requests).toBe(1);
    }
  });

  it.each([
    // Twice reserve and clear.
    ['reserves', true, 4],
    // The first fifty, the others that make 2,500, and their take; then 2,500 that are known to wait, and their take.
    ['only takes', false, 5],
  ])(
    'ten thousand records are read in polls of five thousand, with a plan that %s',
    async (name, canReserve, requests) => {
      const portal = await rig.readablePortal(`many-${canReserve}`, { canReserve });
      await portal.crm.makeItems(3, 10_000);
      await control('POST', `${rig.simulator.url}/_sim/portals/${portal.name}/mass-update`, {
        entityTypeId: 3,
        count: 10_000,
        fields: { name: 'y' },
      });
      await portal.clearStatistics();
      expect([name, await rig.poll(portal)]).toEqual([name, 5_000]);
      expect([name, (await portal.statistics()).requests]).toEqual([name, requests]);
      expect([name, await rig.poll(portal)]).toEqual([name, 5_000]);
      expect([name, await rig.poll(portal)]).toEqual([name, 0]);
      expect(await rig.left(portal)).toEqual({ records: [], rows: [] });
    },
    60_000,
  );

  it('a plan that changes between two polls, and with records reserved, loses nothing', async () => {
    const portal = await rig.readablePortal('plan', { canReserve: true });
    const first = await rig.change(portal, 1);
    await portal.orderFault('event.offline.clear', 'drop', { times: 3 });
    await expect(rig.poll(portal)).rejects.toBeInstanceOf(Bitrix24Error);
    expect(rig.publishedAfter(1, first)).toBe(1);
    await portal.clearFaults();
    await rig.setPlan(portal, false);
    const second = await rig.change(portal, 2);
    await rig.poll(portal);
    expect(rig.publishedAfter(2, second)).toBe(1);
    expect((await rig.bindings.reports()).get(portal.memberId)).toMatchObject({ canReserve: false });
    // Reserved, published, and not to be cleared with this plan.
    expect((await rig.left(portal)).records).toHaveLength(1);
    await rig.setPlan(portal, true);
    await rig.source.query(`UPDATE portals.offline_access SET checked_at = now() - interval '25 hours'`);
    await rig.poll(portal);
    expect(await rig.left(portal)).toEqual({ records: [], rows: [] });
  });

  it('a plan that changes between reserving and clearing loses nothing, and keeps nothing from the reader', async () => {
    const portal = await rig.readablePortal('plan-meanwhile', { canReserve: true });
    const first = await rig.change(portal, 1);
    await control('POST', `${rig.simulator.url}/_sim/portals/plan-meanwhile/faults`, {
      match: 'event.offline.clear',
      kind: 'error',
      code: 'WRONG_LICENSE',
      status: 403,
    });
    await rig.poll(portal);
    expect(rig.publishedAfter(1, first)).toBe(1);
    expect((await rig.bindings.reports()).get(portal.memberId)).toMatchObject({ canReserve: false });
    await rig.setPlan(portal, false);
    const second = await rig.change(portal, 2);
    await rig.poll(portal);
    expect(rig.publishedAfter(2, second)).toBe(1);
    // What is reserved is left to the day when it can be cleared.
    expect((await rig.left(portal)).records).toHaveLength(1);
    await rig.setPlan(portal, true);
    await rig.source.query(`UPDATE portals.offline_access SET checked_at = now() - interval '25 hours'`);
    await rig.poll(portal);
    expect(await rig.left(portal)).toEqual({ records: [], rows: [] });
  });

  it('a portal that was renamed is read at its new address', async () => {
    for (const canReserve of [true, false]) {
      const portal = await rig.readablePortal(`renamed-${canReserve}`, { canReserve });
      const at = await rig.change(portal, 1);
      await portal.rename(`renamed-${canReserve}-again`);
      await rig.poll(portal);
      expect(rig.publishedAfter(1, at)).toBe(1);
    }
  });

  it('a token that expires between reserving and clearing is refreshed', async () => {
    const portal = await rig.readablePortal('expiry', { canReserve: true });
    const at = await rig.change(portal, 1);
    await portal.orderFault('event.offline.clear', 'expired');
    await rig.poll(portal);
    expect(rig.publishedAfter(1, at)).toBe(1);
    expect(await rig.left(portal)).toEqual({ records: [], rows: [] });
    expect((await portal.statistics()).renewals).toBe(1);
  });

  it('a user who is no administrator any more ends it, without an error that repeats', async () => {
    const portal = await rig.readablePortal('dismissed', { canReserve: true });
    await rig.change(portal, 1);
    await portal.orderFault('event.offline.get', 'denied');
    expect(await rig.poll(portal)).toBe(0);
    expect((await rig.bindings.reports()).get(portal.memberId)).toMatchObject({ isAdministrator: false });
    await portal.clearStatistics();
    expect(await rig.poll(portal)).toBe(0);
    expect((await portal.statistics()).requests).toBe(0);
  });

  it('records that are too large for one response are read in several, with each plan', async () => {
    for (const canReserve of [true, false]) {
      const name = `large-${canReserve}`;
      const portal = await rig.readablePortal(name, { canReserve });
      await rig.clients
        .for(portal.memberId)
        .call('event.bind', { event: 'ONCRMLEADADD', event_type: 'offline' });
      const [before, count] = [rig.published.length, 90];
      for (let id = 1; id <= count; id += 1) {
        await emit(name, 'ONCRMLEADADD', { FIELDS: { ID: id, NOTE: 'x'.repeat(200_000) } });
      }
      await expect(rig.poll(portal)).rejects.toMatchObject({ code: 'BAD_ANSWER', detail: 'too-long' });
      await rig.poll(portal);
      const ids = rig.published.slice(before).map(({ event }) => event.entityId);
      expect([canReserve, new Set(ids).size]).toEqual([canReserve, count]);
      expect(await rig.left(portal)).toEqual({ records: [], rows: [] });
    }
  }, 60_000);

  it('records that are no events, and events without data, do not block the others', async () => {
    const portal = await rig.readablePortal('odd', { canReserve: true });
    const client = rig.clients.for(portal.memberId);
    for (const event of ['ONCRMDEALADD', 'ONCRMLEADADD']) {
      await client.call('event.bind', { event, event_type: 'offline' });
    }
    await emit('odd', 'ONCRMDEALADD', {});
    await emit('odd', 'ONCRMLEADADD', { FIELDS: { ID: '7', NOTE: 'x'.repeat(300_000) } });
    const at = await rig.change(portal, 1);
    const before = rig.published.length;
    await rig.poll(portal);
    expect(rig.published.slice(before).map(({ event }) => [event.name, event.entityId])).toEqual([
      ['ONCRMDEALADD', null],
      ['ONCRMCONTACTUPDATE', '1'],
    ]);
    expect(rig.publishedAfter(1, at)).toBe(1);
    expect(await rig.left(portal)).toEqual({ records: [], rows: [] });
  });

  it.each([
    ['right', 0],
    ['an hour ahead', HOUR_MS],
    ['an hour behind', -HOUR_MS],
  ])(
    'in mode both a record rests for half a minute by the clock of the portal, which is %s',
    async (name, offMs) => {
      for (const canReserve of [true, false]) {
        skippedMs = offMs;
        const portal = await rig.readablePortal(`rest-${name.replaceAll(' ', '-')}-${canReserve}`, {
          canReserve,
          mode: 'both',
        });
        await rig.change(portal, 1);
        expect([canReserve, await rig.poll(portal)]).toEqual([canReserve, 0]);
        skippedMs = offMs + 31_000;
        // The measured difference of the clocks is half a minute off now, as after a correction of the portal's clock.
        await rig.source.query('UPDATE offline.visits SET clock_skew_ms = $1 WHERE member_id = $2', [
          skippedMs,
          portal.memberId,
        ]);
        expect([canReserve, await rig.poll(portal)]).toEqual([canReserve, 1]);
      }
      skippedMs = 0;
    },
  );

  it('is soon followed by the next after records that nobody signalled, and much later after others', async () => {
    const portal = await rig.readablePortal('signals', { canReserve: true, mode: 'both' });
    const store = new PollStateStore(rig.source);
    const { memberId } = portal;
    const inSeconds = async (): Promise<number> => {
      const [row] = await rig.source.query<{ seconds: number }[]>(
        `SELECT extract(epoch FROM next_at - clock_timestamp())::float8 AS seconds FROM offline.visits
         WHERE member_id = $1`,
        [memberId],
      );
      return row?.seconds ?? Number.NaN;
    };
    const pollRested = async (): Promise<number> => {
      await rig.change(portal, 1);
      await rig.source.query(
        `UPDATE offline.visits SET clock_skew_ms = 31000, next_at = now() + interval '10 minutes' WHERE member_id = $1`,
        [memberId],
      );
      skippedMs = 31_000;
      const count = await rig.poll(portal);
      skippedMs = 0;
      return count;
    };
    // What was posted in vain.
    expect(await pollRested()).toBe(1);
    expect(await inSeconds()).toBeLessThan(45);
    await store.recordSignal(memberId, SIGNALLED_MS);
    expect(await inSeconds()).toBeLessThan(45);
    expect(await pollRested()).toBe(1);
    expect(await inSeconds()).toBeGreaterThan(200);
    await store.recordSignal(memberId, SIGNALLED_MS);
    expect(await inSeconds()).toBeLessThanOrEqual(120);
  });

  describe('that is due, while events of the portal come online,', () => {
    it('is put off for three minutes at most', async () => {
      const portal = await rig.readablePortal('put-off', { canReserve: true, mode: 'both' });
      await comesOnline(portal);
      await beDue(portal, MAX_PUT_OFF_MS - 5_000);
      expect(await isLeased(portal)).toBe(false);
      await beDue(portal, MAX_PUT_OFF_MS);
      expect(await isLeased(portal)).toBe(true);
    });

    it('is made half a minute after the last of them', async () => {
      const portal = await rig.readablePortal('put-off-until', { canReserve: true, mode: 'both' });
      await comesOnline(portal, ONLINE_WITHIN_MS - 5_000);
      await beDue(portal, 1);
      expect(await isLeased(portal)).toBe(false);
      await rig.source.query(
        `UPDATE portals.event_arrivals SET event_at = event_at - interval '5 s' WHERE member_id = $1`,
        [portal.memberId],
      );
      expect(await isLeased(portal)).toBe(true);
    });

    it('is not put off where only signals and tests arrive, nor for a queue that is no safety net', async () => {
      const signalled = await rig.readablePortal('signals-only', { canReserve: true, mode: 'both' });
      const arrivals = new EventArrivals(rig.source);
      arrivals.note(signalled.memberId, 'ONOFFLINEEVENT');
      arrivals.note(signalled.memberId, 'ONAPPTEST');
      await arrivals.flush();
      await beDue(signalled, 1);
      expect(await isLeased(signalled)).toBe(true);
      for (const mode of ['offline', 'online'] as const) {
        const portal = await rig.readablePortal(`not-put-off-${mode}`, { canReserve: true });
        await rig.bindings.setMode(portal.memberId, mode);
        await comesOnline(portal);
        await beDue(portal, 1);
        expect([mode, await isLeased(portal)]).toEqual([mode, true]);
      }
    });

    it('is not put off after a time in which nobody polled', async () => {
      const portal = await rig.readablePortal('not-put-off-late', { canReserve: true, mode: 'both' });
      await comesOnline(portal);
      for (const forMs of [-60_000, 1]) {
        await beDue(portal, forMs);
        await rig.source.query(
          `UPDATE offline.visits SET visited_at = clock_timestamp() - interval '61 s' WHERE member_id = $1`,
          [portal.memberId],
        );
        await new PollStateStore(rig.source).makeAllDue(60_000);
        expect([forMs, await isLeased(portal)]).toEqual([forMs, true]);
      }
    });

    it.each(plans)(
      'is not put off with a plan that %s, while the poll before left records',
      async (name, canReserve) => {
        const portal = await rig.readablePortal(`not-put-off-more-${canReserve}`, {
          canReserve,
          mode: 'both',
        });
        await portal.crm.makeItems(3, 5_100);
        skippedMs = -60_000;
        await control('POST', `${rig.simulator.url}/_sim/portals/${portal.name}/mass-update`, {
          entityTypeId: 3,
          count: 5_100,
          fields: { name: 'y' },
        });
        skippedMs = 0;
        await comesOnline(portal);
        expect([name, await rig.poll(portal)]).toEqual([name, 5_000]);
        expect([name, await isLeased(portal)]).toEqual([name, true]);
        expect([name, await rig.poll(portal)]).toEqual([name, 100]);
        expect([name, await isLeased(portal)]).toEqual([name, false]);
      },
    );

    it('is not kept from its turn by portals that were polled since', async () => {
      const [first, second] = await Promise.all(
        ['turn-first', 'turn-second'].map((name) =>
          rig.readablePortal(name, { canReserve: true, mode: 'both' }),
        ),
      );
      if (!first || !second) throw new Error('two portals');
      await rig.source.query(
        `UPDATE offline.visits SET next_at = CASE member_id WHEN $1 THEN clock_timestamp() - interval '1 ms'
           WHEN $2 THEN clock_timestamp() - interval '5 minutes' ELSE clock_timestamp() + interval '1 hour' END,
           visited_at = clock_timestamp() - CASE member_id WHEN $1 THEN interval '2 minutes' ELSE interval '1 s' END`,
        [first.memberId, second.memberId],
      );
      expect(await new PollStateStore(rig.source).leaseDue(1)).toEqual([first.memberId]);
      expect(await new PollStateStore(rig.source).leaseDue(1)).toEqual([second.memberId]);
    });
  });

  it('an impossible clock of the portal does not end the reading', async () => {
    const portal = await rig.readablePortal('no-clock', { canReserve: true, mode: 'both' });
    await rig.change(portal, 1);
    await rig.source.query('UPDATE offline.visits SET clock_skew_ms = 1e18 WHERE member_id = $1', [
      portal.memberId,
    ]);
    // The record is fresh, and rests.
    await expect(rig.poll(portal)).resolves.toBe(0);
  });
});

describe('the offline queue of a portal', () => {
  it.each(plans)(
    'with a plan that %s, of which nothing can be deleted, is published once a poll, and rarely',
    async (name, canReserve) => {
      const portal = await rig.readablePortal(`keeps-${name.replaceAll(' ', '-')}`, { canReserve });
      const at = await changeAll(portal);
      await portal.clearStatistics();
      // Whatever was reserved is found by the search of the day, and is there after each of its reads.
      for (let poll = 1; poll <= 2; poll += 1) {
        await ageSearch(portal);
        await rig.poll(portal, { tampering: keeping });
        const published = [...at].map(([id, changedAt]) => rig.publishedAfter(id, changedAt));
        expect(Math.max(...published)).toBeLessThanOrEqual(poll);
      }
      for (const [id, changedAt] of at) expect(rig.publishedAfter(id, changedAt)).toBeGreaterThan(0);
      expect((await portal.statistics()).requests).toBeLessThan(25);
      expect(rig.log.lines).toContainEqual(
        expect.objectContaining({
          level: 'warn',
          fields: expect.objectContaining({ event: 'offline.clear.ineffective', memberId: portal.memberId }),
        }),
      );
      const [row] = await rig.source.query<{ inSeconds: number }[]>(
        `SELECT extract(epoch FROM next_at - clock_timestamp())::float8 AS "inSeconds" FROM offline.visits
         WHERE member_id = $1`,
        [portal.memberId],
      );
      expect(row?.inSeconds).toBeGreaterThan(60);
    },
  );

  it.each(plans)(
    'with a plan that %s, that begins with a hundred records of odd types, is read to its end',
    async (name, canReserve) => {
      const portal = await rig.readablePortal(`odd-${name.replaceAll(' ', '-')}`, { canReserve });
      for (let count = 0; count < 110; count += 1) await portal.add(3, { name: 'x' });
      const client = rig.clients.for(portal.memberId);
      await client.call('event.bind', { event: 'ONCRMCONTACTADD', event_type: 'offline' });
      for (let count = 0; count < 110; count += 1) await portal.add(3, { name: 'y' });
      expect((await rig.left(portal)).records).toHaveLength(110);
      let firstId = Infinity;
      const tampering = showing((entry) => {
        firstId = Math.min(firstId, Number(entry.ID));
        return Number(entry.ID) < firstId + 100 ? { ...entry, MESSAGE_ID: { odd: [1] } } : entry;
      });
      const before = rig.published.length;
      await rig.poll(portal, { tampering });
      expect(rig.published.length - before).toBe(10);
      expect(await rig.left(portal)).toEqual({ records: [], rows: [] });
    },
  );

  it('that can be read one by one only is not deleted because the first record is odd', async () => {
    const portal = await rig.readablePortal('one-by-one', { canReserve: true });
    const at = await changeAll(portal);
    // Reserved, and the answer is lost.
    await portal.orderFault('event.offline.get', 'lost', { where: { clear: '0' } });
    await expect(rig.poll(portal)).rejects.toBeInstanceOf(Bitrix24Error);
    let oddId: string | undefined;
    const { answered } = showing((entry) => {
      oddId ??= entry.ID;
      return entry.ID === oddId ? { ...entry, EVENT_NAME: 7 } : entry;
    });
    await rig.poll(portal, {
      tampering: {
        sent: (command) => {
          const { method, params = {} } = command;
          if (method === 'event.offline.get' && 'process_id' in params && Number(params['limit']) > 1) {
            throw new Bitrix24Error('BAD_ANSWER', { method, detail: 'too-long' });
          }
          return command;
        },
        ...(answered && { answered }),
      },
    });
    expect([...at].filter(([id, changedAt]) => rig.publishedAfter(id, changedAt) > 0)).toHaveLength(2);
    expect(await rig.left(portal)).toEqual({ records: [], rows: [] });
  });

  it.each(plans)(
    'with a plan that %s, gives what is marked as an error, and was hidden, within a day',
    async (name, canReserve) => {
      const portal = await rig.readablePortal(`marked-${name.replaceAll(' ', '-')}`, { canReserve });
      await rig.setPlan(portal, true);
      const client = rig.clients.for(portal.memberId);
      await rig.change(portal, 1);
      const { result } = await client.call('event.offline.get', { clear: 0 });
      const { process_id, events } = reserved.parse(result);
      await client.call('event.offline.error', {
        process_id,
        message_id: events.map(({ MESSAGE_ID: id }) => id),
      });
      await rig.setPlan(portal, canReserve);
      // Refreshes the marked record, and makes none that a usual read would find.
      const at = await rig.change(portal, 1);
      expect(await rig.poll(portal)).toBe(0);
      await ageSearch(portal);
      expect(await rig.poll(portal)).toBe(1);
      expect(rig.publishedAfter(1, at)).toBe(1);
      expect(await rig.left(portal)).toEqual({ records: [], rows: [] });
    },
  );

  it('that has marked records reserved, of a process that ended, gives them all the same', async () => {
    const portal = await rig.readablePortal('marked-reserved', { canReserve: true });
    const client = rig.clients.for(portal.memberId);
    await rig.change(portal, 1);
    const first = reserved.parse((await client.call('event.offline.get', { clear: 0 })).result);
    const message_id = first.events.map(({ MESSAGE_ID: id }) => id);
    await client.call('event.offline.error', { process_id: first.process_id, message_id });
    const at = await rig.change(portal, 1);
    await client.call('event.offline.get', { clear: 0, error: 1 });
    await ageSearch(portal);
    await rig.poll(portal);
    expect(rig.publishedAfter(1, at)).toBe(1);
    expect(await rig.left(portal)).toEqual({ records: [], rows: [] });
  });

  it.each(plans)(
    'with a plan that %s, is read a last time when the portal is set to online',
    async (name, canReserve) => {
      const portal = await rig.readablePortal(`leaves-${name.replaceAll(' ', '-')}`, { canReserve });
      const { memberId } = portal;
      const at = await changeAll(portal);
      // Taken and stored, or reserved, when the bus goes down.
      rig.busError = new Error('bus is down');
      await expect(rig.poll(portal)).rejects.toThrow('bus is down');
      rig.busError = undefined;
      const late = await rig.change(portal, 1);
      await rig.bindings.setMode(memberId, 'online');
      await rig.poll(portal);
      for (const [id, changedAt] of at) expect(rig.publishedAfter(id, changedAt)).toBeGreaterThan(0);
      expect(rig.publishedAfter(1, late)).toBeGreaterThan(0);
      const polls = () =>
        rig.source.query<object[]>('SELECT FROM offline.visits WHERE member_id = $1', [memberId]);
      // Its handlers are bound still.
      await rig.poll(portal);
      expect(await polls()).toHaveLength(1);
      await rig.bindings.remove(memberId, ['ONCRMCONTACTUPDATE']);
      await rig.poll(portal);
      expect(await polls()).toEqual([]);
      await new PollStateStore(rig.source).leaseDue(10);
      expect(await polls()).toEqual([]);
    },
  );

  it('costs a bus that is down a few attempts, not one a record', async () => {
    const portal = await rig.readablePortal('bus-down', { canReserve: true });
    await portal.crm.makeItems(3, 1_000);
    await control('POST', `${rig.simulator.url}/_sim/portals/bus-down/mass-update`, {
      entityTypeId: 3,
      count: 1_000,
      fields: { name: 'y' },
    });
    rig.busError = new Error('bus is down');
    rig.publishAttempts = 0;
    await expect(rig.poll(portal)).rejects.toThrow('bus is down');
    expect(rig.publishAttempts).toBeLessThanOrEqual(100);
    rig.busError = undefined;
    expect(await rig.poll(portal)).toBe(1_000);
    expect(await rig.left(portal)).toEqual({ records: [], rows: [] });
  });

  it('has no events about the application itself: whoever shows one is not believed', async () => {
    const portal = await rig.readablePortal('forges', { canReserve: true });
    await changeAll(portal);
    const names = ['ONAPPUNINSTALL', 'onAppInstall', 'ONOFFLINEEVENT'];
    const before = rig.published.length;
    const tampering = showing((entry) => ({ ...entry, EVENT_NAME: names[Number(entry.ID) % 3] }));
    await rig.poll(portal, { tampering });
    expect(rig.published.length).toBe(before);
    expect(await rig.left(portal)).toEqual({ records: [], rows: [] });
  });

  it('whose clock turns out to be ahead has nothing taken that was not stored before', async () => {
    const portal = await rig.readablePortal('ahead', { canReserve: false, mode: 'both' });
    skippedMs = -HOUR_MS;
    await rig.change(portal, 1);
    await rig.change(portal, 2);
    // The older record is refreshed: a minute ago by the clock of the portal, in an hour by ours.
    skippedMs = HOUR_MS - 60_000;
    const at = await rig.change(portal, 1);
    skippedMs = HOUR_MS;
    await portal.orderFault('event.offline.get', 'lost', { where: { clear: '1' } });
    await expect(rig.poll(portal)).rejects.toBeInstanceOf(Bitrix24Error);
    await rig.poll(portal);
    skippedMs = 0;
    expect(rig.publishedAfter(1, at)).toBeGreaterThan(0);
  });

  it('is read by one that stood still: what another has stored since is not deleted with what was read', async () => {
    const portal = await rig.readablePortal('stood-still', { canReserve: false });
    const { memberId } = portal;
    const store = new PollStateStore(rig.source);
    await rig.change(portal, 1);
    await rig.poll(portal);
    const event = rig.published.at(-1)?.event;
    if (!event) throw new Error('nothing was published');
    const [messageId, laterId] = ['a'.repeat(32), randomUUID()];
    await store.saveRecords(memberId, [{ messageId, event }]);
    const read = await store.records(memberId);
    await store.saveRecords(memberId, [{ messageId, event: { ...event, id: laterId } }]);
    await store.removeRecords(memberId, read);
    expect((await store.records(memberId)).map((one) => one.event.id)).toEqual([laterId]);
    await store.removeRecords(memberId, await store.records(memberId));
    expect(await store.records(memberId)).toEqual([]);
  });
});

describe('a process that reads an offline queue and is killed', () => {
  it.each([
    ['reserves', true],
    ['only takes', false],
  ])(
    'before any of its calls, with a plan that %s: nothing is lost, and nothing left',
    async (_, canReserve) => {
      const portal = await rig.readablePortal(canReserve ? 'extended' : 'basic', { canReserve });
      let kills = 0;
      for (let limit = 0; ; limit += 1) {
        const changedAt = new Map<number, number>();
        for (const id of contacts) changedAt.set(id, await rig.change(portal, id));
        const wasKilled = await rig.poll(portal, { mortal: new MortalProcess(limit) }).then(
          () => false,
          (error: unknown) => {
            if (error instanceof KilledError) return true;
            throw error;
          },
        );
        // One of the things changes again while nobody runs.
        changedAt.set(1, await rig.change(portal, 1));
        await rig.poll(portal);
        for (const [id, at] of changedAt) {
          expect({ limit, id, isLost: rig.publishedAfter(id, at) === 0 }).toEqual({
            limit,
            id,
            isLost: false,
          });
        }
        expect({ limit, ...(await rig.left(portal)) }).toEqual({ limit, records: [], rows: [] });
        if (!wasKilled) break;
        kills += 1;
      }
      // Every call that a poll makes.
      expect(kills).toBeGreaterThanOrEqual(10);
      expect(rig.published.every(({ event }) => event.source === 'offline')).toBe(true);
    },
    120_000,
  );
});

const modeOf = (at: number) => (at % 15 === 0 ? 'offline' : 'both');

/** The time of everything that the reader has noted goes by. */
async function passTime(seconds: number): Promise<void> {
  await rig.source.query(
    `UPDATE offline.visits SET next_at = next_at - make_interval(secs => $1),
       visited_at = visited_at - make_interval(secs => $1), listed_at = listed_at - make_interval(secs => $1)`,
    [seconds],
  );
  await rig.source.query(
    'UPDATE portals.offline_access SET checked_at = checked_at - make_interval(secs => $1)',
    [seconds],
  );
}

describe('three hundred idle portals', () => {
  const [minutes, stepS] = [10, 10];
  it('cost less than one request a minute each, and are all polled', async () => {
    await rig.source.query('DELETE FROM portals.portals');
    await rig.source.query('DELETE FROM offline.visits');
    const portals: SimulatedPortal[] = [];
    while (portals.length < 300) {
      const from = portals.length;
      const made = Array.from({ length: 10 }, (_, at) =>
        rig.readablePortal(`quiet-${from + at}`, {
          canReserve: at % 2 === 0,
          mode: modeOf(from + at),
          contacts: 0,
        }),
      );
      portals.push(...(await Promise.all(made)));
    }
    // As after a quiet hour, each at another time.
    await rig.source.query(
      `UPDATE offline.visits SET empty_visits = 10, next_at = clock_timestamp() + make_interval(secs =>
         random() * CASE delivery_mode WHEN 'both' THEN 300 ELSE 90 END) FROM portals.portals p WHERE p.member_id = visits.member_id`,
    );
    await Promise.all(portals.map((portal) => portal.clearStatistics()));
    const byId = new Map(portals.map((portal) => [portal.memberId, portal]));
    const store = new PollStateStore(rig.source);
    for (let step = 0; step < (minutes * 60) / stepS; step += 1) {
      await passTime(stepS);
      const due = await store.leaseDue(300);
      await Promise.all(
        due.flatMap((memberId) => byId.get(memberId) ?? []).map((portal) => rig.poll(portal)),
      );
    }
    const counts = await Promise.all(portals.map(async (portal) => (await portal.statistics()).requests));
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(1);
    // One whose jitter is always the shortest.
    expect(Math.max(...counts)).toBeLessThan(minutes);
    const ofBoth = counts.filter((_, at) => modeOf(at) === 'both');
    expect(ofBoth.reduce((sum, count) => sum + count, 0) / ofBoth.length).toBeLessThan(0.3 * minutes);
  }, 120_000);
});
