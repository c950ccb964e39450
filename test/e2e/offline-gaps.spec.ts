import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Bitrix24Error, type Command } from '@relay/bitrix24';
import { JobYieldedError } from '@relay/jobs';
import { z } from 'zod';
import { PollStateStore } from '../../apps/offline-puller/src/poll-state-store.js';
import { KilledError, MortalProcess, OfflineRig, type Tampering } from '../support/offline-rig.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';
import { control } from '../support/simulator-control.js';

const DAY_MS = 24 * 3_600_000;
const [deal, contact, dynamicType] = [2, 3, 147];
const filterShape = z.object({ '>id': z.string() });

async function hasYielded(run: Promise<unknown>): Promise<boolean> {
  try {
    await run;
    return false;
  } catch (error) {
    if (error instanceof JobYieldedError) return true;
    throw error;
  }
}

/** Real: simulator, PostgreSQL, REST client, the code of offline-puller. Instead of the bus: a list. */
describe('events that no queue has', () => {
  let rig: OfflineRig;
  let skippedMs = 0;

  beforeAll(async () => {
    rig = await OfflineRig.start(() => Date.now() + skippedMs);
    await rig.subscriptions.record('formatter', ['ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE']);
    await rig.subscriptions.record('watcher', ['ONCRMDYNAMICITEMUPDATE', 'ONCRMTYPEADD', 'ONTASKADD']);
  }, 60_000);
  afterAll(() => rig?.stop());

  /** With contacts and a smart process item of three days ago. */
  async function portalOfOld(name: string, canReserve: boolean): Promise<SimulatedPortal> {
    skippedMs = -3 * DAY_MS;
    const portal = await rig.readablePortal(name, { canReserve });
    await portal.crm.addType({ entityTypeId: dynamicType, title: 'Orders' });
    await portal.add(dynamicType, { title: 'a' });
    await rig.poll(portal);
    skippedMs = 0;
    return portal;
  }
  const endSuspension = ({ memberId }: SimulatedPortal) =>
    rig.source.query(
      `UPDATE portals.portals SET suspended_until = now() - interval '1 s' WHERE member_id = $1`,
      [memberId],
    );
  const isOver = async ({ memberId }: SimulatedPortal): Promise<boolean> =>
    (await rig.gaps.lastEnded()).has(memberId);
  const settle = ({ memberId }: SimulatedPortal) =>
    rig.source.query(
      `UPDATE portals.event_gaps SET ended_at = now() - interval '1 s' WHERE member_id = $1 AND ended_at IS NOT NULL`,
      [memberId],
    );

  async function expirePayment(portal: SimulatedPortal, meanwhile: () => Promise<unknown>): Promise<void> {
    await portal.suspend('payment');
    await expect(rig.poll(portal)).rejects.toBeInstanceOf(Bitrix24Error);
    await meanwhile();
    await portal.suspend(null);
    expect(await isOver(portal)).toBe(false);
    // Not called before its time.
    expect(await rig.poll(portal)).toBe(0);
    expect(await isOver(portal)).toBe(false);
    await endSuspension(portal);
    // A portal that sends nothing is tried again by its poll.
    await rig.source.query('UPDATE offline.visits SET next_at = now() WHERE member_id = $1', [
      portal.memberId,
    ]);
    expect(await new PollStateStore(rig.source).leaseDue(10)).toContain(portal.memberId);
  }

  async function catchUp(portal: SimulatedPortal): Promise<string[]> {
    const before = rig.published.length;
    const count = await rig.catchUp(portal);
    const events = rig.published.slice(before).map(({ event }) => event);
    expect(events).toHaveLength(count);
    expect(events.every(({ source }) => source === 'reconcile')).toBe(true);
    return events.map(({ name, entity }) => `${name} ${entity}`).toSorted();
  }

  it('after an expired payment are made of what has changed since, for what consumers want', async () => {
    const portal = await portalOfOld('payment', true);
    await expirePayment(portal, async () => {
      await portal.change(contact, 2, { name: 'y' });
      await portal.add(contact, { name: 'z' });
      await portal.add(deal, { title: 'nobody wants it' });
      await portal.change(dynamicType, 1, { title: 'b' });
    });
    // No records were made.
    expect(await rig.poll(portal)).toBe(0);
    expect(await isOver(portal)).toBe(true);
    expect(await catchUp(portal)).toEqual([
      'ONCRMCONTACTADD CRMCONTACT:4',
      'ONCRMCONTACTUPDATE CRMCONTACT:2',
      `ONCRMDYNAMICITEMUPDATE CRMDYNAMICITEM_${dynamicType}:1`,
    ]);
    expect(await catchUp(portal)).toEqual([]);
    // Not once more when its queue is left.
    await new PollStateStore(rig.source).forget(portal.memberId);
    expect(await catchUp(portal)).toEqual([]);
  });

  it('are made of thousands of items in few requests, wherever the process is killed', async () => {
    const portal = await portalOfOld('thousands', true);
    const count = 2_600;
    await portal.crm.makeItems(contact, count);
    await expirePayment(portal, () =>
      control('POST', `${rig.simulator.url}/_sim/portals/thousands/mass-update`, {
        entityTypeId: contact,
        count,
        fields: { name: 'y' },
      }),
    );
    await rig.poll(portal);
    expect(await isOver(portal)).toBe(true);
    const before = rig.published.length;
    await portal.clearStatistics();
    for (let limit = 1; ; limit += Math.ceil(count / 4)) {
      const wasKilled = await rig.catchUp(portal, { mortal: new MortalProcess(limit) }).then(
        () => false,
        (error: unknown) => {
          if (error instanceof KilledError) return true;
          throw error;
        },
      );
      if (!wasKilled) break;
    }
    const ids = new Set(
      rig.published
        .slice(before)
        .filter(({ event }) => event.name === 'ONCRMCONTACTUPDATE')
        .map(({ event }) => event.entityId),
    );
    expect(ids.size).toBeGreaterThanOrEqual(count);
    // Types once, a page of each, then fifty pages at once: three requests a life, and one that goes on.
    expect((await portal.statistics()).requests).toBeLessThanOrEqual(20);
  }, 60_000);

  it('are not held up by a type that cannot be listed', async () => {
    const portal = await portalOfOld('denied', true);
    await expirePayment(portal, () => portal.change(contact, 1, { name: 'y' }));
    await rig.poll(portal);
    expect(await isOver(portal)).toBe(true);
    await control('POST', `${rig.simulator.url}/_sim/portals/denied/faults`, {
      match: 'crm.item.list',
      kind: 'error',
      code: 'ACCESS_DENIED',
      where: { entityTypeId: dynamicType },
    });
    expect(await catchUp(portal)).toEqual(['ONCRMCONTACTUPDATE CRMCONTACT:1']);
    expect(rig.log.lines).toContainEqual(
      expect.objectContaining({
        fields: expect.objectContaining({
          event: 'offline.catch_up.skipped',
          memberId: portal.memberId,
          entityTypeId: dynamicType,
        }),
      }),
    );
  });

  it('of a portal that repeats its list end with an error, and not never', async () => {
    const portal = await portalOfOld('repeats', true);
    await expirePayment(portal, () => Promise.resolve());
    await rig.poll(portal);
    expect(await isOver(portal)).toBe(true);
    const tampering: Tampering = {
      answered: ({ method }, result) =>
        method === 'crm.item.list'
          ? { items: Array.from({ length: 50 }, (_, at) => ({ id: at + 1 })) }
          : result,
    };
    await expect(rig.catchUp(portal, { tampering })).rejects.toMatchObject({ code: 'BAD_ANSWER' });
  });

  it('of a portal that lists for ever end with a limit, in however many turns', async () => {
    const portal = await portalOfOld('endless', true);
    await expirePayment(portal, () => Promise.resolve());
    await rig.poll(portal);
    expect(await isOver(portal)).toBe(true);
    let last = 0;
    const endless: Tampering = {
      answered: ({ method }, result) =>
        method === 'crm.item.list'
          ? { items: Array.from({ length: 50 }, () => ({ id: (last += 1) })) }
          : result,
    };
    const turn = () => rig.catchUp(portal, { tampering: endless, limits: { requests: 6, turnMs: 0 } });
    for (let turns = 0; turns < 3; turns += 1) await expect(turn()).rejects.toBeInstanceOf(JobYieldedError);
    expect(await turn()).toBe(last);
    expect(rig.log.lines).toContainEqual(
      expect.objectContaining({
        fields: expect.objectContaining({ event: 'offline.catch_up.cut', memberId: portal.memberId }),
      }),
    );
    expect(await catchUp(portal)).toEqual([]);
  });

  it('of a portal that has types without end are as many requests as of any other', async () => {
    const portal = await portalOfOld('types', true);
    await expirePayment(portal, () => portal.change(contact, 1, { name: 'y' }));
    await rig.poll(portal);
    expect(await isOver(portal)).toBe(true);
    let last = 1_000;
    const tampering: Tampering = {
      answered: ({ method }, result) =>
        method === 'crm.type.list'
          ? { types: Array.from({ length: 50 }, () => ({ entityTypeId: (last += 1) })) }
          : result,
    };
    await portal.clearStatistics();
    let turns = 1;
    while (await hasYielded(rig.catchUp(portal, { tampering, limits: { requests: 10, turnMs: 0 } })))
      turns += 1;
    expect(turns).toBeLessThan(5);
    expect((await portal.statistics()).requests).toBeLessThan(20);
  });

  it('are made of all types, also where a turn is over before each was asked', async () => {
    const portal = await portalOfOld('many', true);
    const ids = Array.from({ length: 70 }, (_, at) => 1_030 + 2 * at);
    for (const entityTypeId of ids) await portal.crm.addType({ entityTypeId, title: `Type ${entityTypeId}` });
    await expirePayment(portal, () => Promise.all(ids.map((id) => portal.add(id, { title: 'x' }))));
    await rig.poll(portal);
    expect(await isOver(portal)).toBe(true);
    const before = rig.published.length;
    let turns = 1;
    while (await hasYielded(rig.catchUp(portal, { limits: { requests: 20, turnMs: 0 } }))) turns += 1;
    const entities = rig.published.slice(before).map(({ event }) => `${event.entity}`);
    expect(entities.toSorted()).toEqual(ids.map((id) => `CRMDYNAMICITEM_${id}:1`).toSorted());
    expect(turns).toBeLessThan(4);
  });

  it('are not held up, or made again and again, by a type whose list always fails', async () => {
    const portal = await portalOfOld('broken', true);
    await expirePayment(portal, () => portal.change(contact, 1, { name: 'y' }));
    await rig.poll(portal);
    expect(await isOver(portal)).toBe(true);
    await control('POST', `${rig.simulator.url}/_sim/portals/broken/faults`, {
      match: 'crm.item.list',
      kind: 'error',
      code: 'INTERNAL_SERVER_ERROR',
      times: 100,
      where: { entityTypeId: dynamicType },
    });
    const before = rig.published.length;
    for (let attempts = 0; attempts < 9; attempts += 1) {
      await expect(rig.catchUp(portal)).rejects.toMatchObject({ code: 'INTERNAL_SERVER_ERROR' });
      expect(rig.published.slice(before).map(({ event }) => event.entity)).toEqual(['CRMCONTACT:1']);
      await rig.source.query('UPDATE portals.tasks SET attempts = attempts + 1 WHERE member_id = $1', [
        portal.memberId,
      ]);
    }
    expect(await rig.catchUp(portal)).toBe(1);
    expect(rig.published.slice(before)).toHaveLength(1);
    expect(await catchUp(portal)).toEqual([]);
  });

  it('go on where they were when events are missed once more, and those are looked for after that', async () => {
    const portal = await portalOfOld('again', true);
    await portal.crm.makeItems(contact, 120);
    await expirePayment(portal, () =>
      control('POST', `${rig.simulator.url}/_sim/portals/again/mass-update`, {
        entityTypeId: contact,
        count: 120,
        fields: { name: 'y' },
      }),
    );
    await rig.poll(portal);
    expect(await isOver(portal)).toBe(true);
    const asked: string[] = [];
    const tampering: Tampering = {
      sent: (command) => {
        const { method, params } = command;
        if (method === 'crm.item.list' && params?.['entityTypeId'] === contact)
          asked.push(filterShape.parse(params['filter'])['>id']);
        return command;
      },
    };
    const turn = () => hasYielded(rig.catchUp(portal, { tampering, limits: { requests: 100, turnMs: 0 } }));
    expect(await turn()).toBe(true);
    await rig.gaps.recordLostAnswer(portal.memberId, new Date(), 0);
    await settle(portal);
    asked.length = 0;
    expect(await turn()).toBe(true);
    expect(asked[0]).not.toBe('0');
    let turns = 1;
    while (await turn()) expect((turns += 1)).toBeLessThan(20);
    const { id } = (await rig.gaps.after(portal.memberId, '0')) ?? {};
    const [row] = await rig.source.query<{ done: string }[]>(
      'SELECT done_gap::text AS done FROM offline.catch_ups WHERE member_id = $1',
      [portal.memberId],
    );
    expect(row?.done).toBe(id);
  });

  it('are looked for again an hour after that has failed for good, as while the bus was down', async () => {
    const portal = await portalOfOld('failed', true);
    await expirePayment(portal, () => portal.change(contact, 1, { name: 'y' }));
    await rig.poll(portal);
    const isDue = async () => (await rig.dueCatchUps()).has(portal.memberId);
    expect(await isDue()).toBe(true);
    await rig.requestCatchUps();
    expect(await isDue()).toBe(false);
    const fail = (ago: string) =>
      rig.source.query(
        `UPDATE portals.tasks SET state = 'failed', ended_at = now() - $2::interval WHERE member_id = $1 AND kind = 'catch-up'`,
        [portal.memberId, ago],
      );
    await fail('50 minutes');
    expect(await isDue()).toBe(false);
    await fail('61 minutes');
    expect(await isDue()).toBe(true);
    const setState = (state: string) =>
      rig.source.query('UPDATE portals.portals SET state = $2 WHERE member_id = $1', [
        portal.memberId,
        state,
      ]);
    await setState('uninstalled');
    expect(await isDue()).toBe(false);
    await setState('installed');
    const endGap = (ago: string) =>
      rig.source.query('UPDATE portals.event_gaps SET ended_at = now() - $2::interval WHERE member_id = $1', [
        portal.memberId,
        ago,
      ]);
    await endGap('31 days');
    expect(await isDue()).toBe(false);
    await endGap('1 minute');
    await rig.requestCatchUps();
    expect(await isDue()).toBe(false);
    expect(await catchUp(portal)).toEqual(['ONCRMCONTACTUPDATE CRMCONTACT:1']);
    expect(await isDue()).toBe(false);
  });

  it('are not made of items that have not changed, where a list ignores the filter', async () => {
    const portal = await portalOfOld('unfiltered', true);
    await expirePayment(portal, () => portal.change(contact, 2, { name: 'y' }));
    await rig.poll(portal);
    expect(await isOver(portal)).toBe(true);
    const before = rig.published.length;
    const unfiltered: Tampering = {
      sent: ({ method, params }) => ({
        method,
        params:
          method === 'crm.item.list'
            ? { ...params, filter: { '>id': filterShape.parse(params?.['filter'])['>id'] } }
            : params,
      }),
    };
    expect(await rig.catchUp(portal, { tampering: unfiltered })).toBe(1);
    expect(rig.published.slice(before).map(({ event }) => event.entityId)).toEqual(['2']);
  });

  it('are looked for after a plan did not allow to read the queue at all, from the last good poll on', async () => {
    const portal = await portalOfOld('license', false);
    await control('POST', `${rig.simulator.url}/_sim/portals/license/faults`, {
      match: 'event.offline.list',
      kind: 'error',
      code: 'WRONG_LICENSE',
      status: 403,
    });
    await expect(rig.poll(portal)).rejects.toMatchObject({ code: 'WRONG_LICENSE' });
    expect(await isOver(portal)).toBe(false);
    await portal.change(contact, 3, { name: 'y' });
    await rig.poll(portal);
    expect(await isOver(portal)).toBe(true);
    expect(await catchUp(portal)).toEqual(['ONCRMCONTACTUPDATE CRMCONTACT:3']);
  });

  it('are looked for when a basic plan executes a request late, that deletes what has changed meanwhile', async () => {
    const portal = await portalOfOld('late', false);
    await rig.change(portal, 1);
    let late: Command | undefined;
    const tampering: Tampering = {
      sent: (command) => {
        if (command.params?.['clear'] !== 1) return command;
        late = command;
        throw new Bitrix24Error('TIMEOUT', { method: command.method, delivered: 'unknown' });
      },
    };
    await expect(rig.poll(portal, { tampering })).rejects.toMatchObject({ code: 'TIMEOUT' });
    const at = await rig.change(portal, 1);
    await rig.clients.for(portal.memberId).call('event.offline.get', late?.params);
    await rig.poll(portal);
    // The window of basic plans.
    expect(rig.publishedAfter(1, at)).toBe(0);
    expect(await isOver(portal)).toBe(false);
    await settle(portal);
    expect(await isOver(portal)).toBe(true);
    expect(await catchUp(portal)).toEqual(['ONCRMCONTACTUPDATE CRMCONTACT:1']);
    expect(rig.publishedAfter(1, at)).toBe(1);
  });

  it('are looked for when the process ended before the answer, and not when the portal has rejected', async () => {
    const portal = await portalOfOld('ended', false);
    await rig.change(portal, 1);
    await portal.orderFault('event.offline.get', 'invalid');
    await expect(rig.poll(portal)).rejects.toBeInstanceOf(Bitrix24Error);
    await rig.poll(portal);
    await settle(portal);
    expect(await isOver(portal)).toBe(false);
    await rig.change(portal, 1);
    const killed: Tampering = {
      sent: (command) => {
        if (command.params?.['clear'] === 1) throw new KilledError('before the request');
        return command;
      },
    };
    await expect(rig.poll(portal, { tampering: killed })).rejects.toBeInstanceOf(KilledError);
    await rig.poll(portal);
    await settle(portal);
    expect(await isOver(portal)).toBe(true);
  });
});
