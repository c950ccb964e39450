import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { writeAll } from '@relay/bitrix24';
import { OFFLINE_CONNECTOR } from '@relay/portals';
import { z } from 'zod';
import { noChanges } from '../../apps/control-plane/src/subscriptions/event-binder.js';
import { reconcileOfflineHandlers } from '../../apps/control-plane/src/subscriptions/offline-binder.js';
import { OfflineRig, tampered } from '../support/offline-rig.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';
import { control } from '../support/simulator-control.js';

const CONTACT = 3;
const EVENT = 'ONCRMCONTACTUPDATE';
const shown = z.object({ handlers: z.array(z.object({ event: z.string(), connector: z.string() })) });

const update = (id: number, name: string) => ({
  method: 'crm.item.update',
  params: { entityTypeId: CONTACT, id, fields: { name } },
});

/** Real: simulator, PostgreSQL, REST client, the code that binds and reads. Instead of the bus: a list. */
describe('a plan with auth_connector', () => {
  let rig: OfflineRig;

  beforeAll(async () => {
    rig = await OfflineRig.start();
  }, 60_000);
  afterAll(() => rig?.stop());

  const handlersOf = async ({ name }: SimulatedPortal) =>
    shown.parse(await control('GET', `${rig.simulator.url}/_sim/portals/${name}/offline`)).handlers;

  async function bind({ memberId }: SimulatedPortal): Promise<void> {
    const client = rig.clients.for(memberId);
    const plan = await rig.bindings.plan(memberId, [EVENT]);
    const { signal } = new AbortController();
    await reconcileOfflineHandlers(
      { bindings: rig.bindings, client, log: rig.log, signal, changes: noChanges() },
      plan,
    );
  }

  const logged = ({ memberId }: SimulatedPortal, event: string) =>
    rig.log.lines.filter(
      ({ fields }) =>
        'event' in fields && fields.event === event && 'memberId' in fields && fields.memberId === memberId,
    );

  it.each([true, false])('leaves out what we write, and nothing else (reserves: %s)', async (canReserve) => {
    const portal = await rig.readablePortal(`own-${canReserve}`, { canReserve, hasConnector: true });
    // Whoever has no connector gets everything back.
    await portal.set({ offlineOwnWrites: true });
    const client = rig.clients.for(portal.memberId);
    await client.call(update(1, 'a').method, update(1, 'a').params);
    await client.batch({
      one: update(1, 'b'),
      list: { method: 'crm.item.list', params: { entityTypeId: CONTACT } },
    });
    await writeAll(client, [{ entity: 'contact:1', command: update(1, 'c') }]);
    await portal.set({ offlineOwnWrites: false });
    const ours = await rig.left(portal);
    expect(ours.records).toHaveLength(1);
    await rig.poll(portal);
    await client.call(update(1, 'd').method, update(1, 'd').params);
    await client.batch({ one: update(1, 'e') });
    await writeAll(client, [{ entity: 'contact:1', command: update(1, 'f') }]);
    expect((await rig.left(portal)).records).toEqual([]);
    const at = await rig.change(portal, 2);
    expect(await rig.poll(portal)).toBe(1);
    expect(rig.publishedAfter(2, at)).toBe(1);
    expect((await portal.item(CONTACT, 1))['name']).toBe('f');
    expect(await rig.left(portal)).toEqual({ records: [], rows: [] });
  });

  it('that is lost between two writes costs one rejection: each write is done once, and the loss is told once', async () => {
    const portal = await rig.readablePortal('lost-writing', { canReserve: true, hasConnector: true });
    await rig.setPlan(portal, true, false);
    const client = rig.clients.for(portal.memberId);
    const outcomes = await writeAll(client, [
      { entity: 'contact:1', command: update(1, 'a') },
      { entity: 'contact:2', command: update(2, 'b') },
    ]);
    expect(outcomes.map(([, { ok }]) => ok)).toEqual([true, true]);
    await client.call('crm.item.update', update(3, 'c').params);
    expect((await portal.item(CONTACT, 1))['name']).toBe('a');
    expect((await portal.item(CONTACT, 3))['name']).toBe('c');
    expect(logged(portal, 'offline.connector.lost')).toHaveLength(1);
    const [row] = await rig.source.query<object[]>('SELECT state FROM portals.portals WHERE member_id = $1', [
      portal.memberId,
    ]);
    expect(row).toEqual({ state: 'installed' });
  });

  it('that is lost, and comes back, has its handlers bound anew, and what waited is read', async () => {
    const portal = await rig.readablePortal('changes', { canReserve: true });
    const { memberId } = portal;
    expect(await handlersOf(portal)).toMatchObject([{ event: EVENT, connector: '' }]);
    const before = await rig.change(portal, 1);
    await rig.setPlan(portal, true, true);
    await rig.source.query(`UPDATE portals.offline_access SET checked_at = now() - interval '25 hours'`);
    // The poll notes the plan, and reads by the connector of the handlers that there are.
    expect(await rig.poll(portal)).toBe(1);
    expect(rig.publishedAfter(1, before)).toBe(1);
    expect(await rig.bindings.due([EVENT])).toContain(memberId);
    const between = await rig.change(portal, 2);
    await bind(portal);
    expect(await handlersOf(portal)).toMatchObject([{ event: EVENT, connector: OFFLINE_CONNECTOR }]);
    expect(await rig.bindings.due([EVENT])).not.toContain(memberId);
    const after = await rig.change(portal, 3);
    await rig.poll(portal);
    expect([rig.publishedAfter(2, between), rig.publishedAfter(3, after)]).toEqual([1, 1]);

    await rig.setPlan(portal, true, false);
    const unreachable = await rig.change(portal, 1);
    expect(await rig.poll(portal)).toBe(0);
    expect(logged(portal, 'offline.connector.lost')).toHaveLength(1);
    await portal.clearStatistics();
    // Nothing is asked for that would be rejected.
    expect(await rig.poll(portal)).toBe(0);
    expect((await portal.statistics()).requests).toBe(0);
    await bind(portal);
    expect(await handlersOf(portal)).toContainEqual(expect.objectContaining({ event: EVENT, connector: '' }));
    const basic = await rig.change(portal, 2);
    await rig.poll(portal);
    expect(rig.publishedAfter(2, basic)).toBe(1);

    await rig.setPlan(portal, true, true);
    await bind(portal);
    await rig.poll(portal);
    expect(rig.publishedAfter(1, unreachable)).toBe(1);
    expect(await handlersOf(portal)).toMatchObject([{ event: EVENT, connector: OFFLINE_CONNECTOR }]);
    expect(await rig.left(portal)).toEqual({ records: [], rows: [] });
  });

  it('is told by the portal, but rejected: the handlers are bound without it', async () => {
    const portal = await rig.readablePortal('liar', { canReserve: true });
    const { memberId } = portal;
    await rig.bindings.saveAccess(memberId, { isAdministrator: true, canReserve: true, hasConnector: true });
    const client = rig.clients.for(memberId);
    const liar = tampered(client, {
      answered: ({ params }, result) =>
        params?.['code'] === 'rest_auth_connector' ? { value: 'Y' } : result,
    });
    const { signal } = new AbortController();
    const plan = { ...(await rig.bindings.plan(memberId, [EVENT])), missing: ['ONCRMCONTACTADD'] };
    await reconcileOfflineHandlers(
      { bindings: rig.bindings, client: liar, log: rig.log, signal, changes: noChanges() },
      plan,
    );
    const bound = (await handlersOf(portal)).map(({ event, connector }) => `${event} ${connector}`);
    expect(bound.toSorted()).toEqual(['ONCRMCONTACTADD ', `${EVENT} `]);
    expect(logged(portal, 'offline.connector.lost')).toHaveLength(1);
  });

  it('is needed for what is sent: without the feature nothing carries it', async () => {
    const portal = await rig.readablePortal('without', { canReserve: true });
    const client = rig.clients.for(portal.memberId);
    await portal.clearStatistics();
    await client.batch({ one: update(1, 'a') });
    await client.call('crm.item.update', update(2, 'b').params);
    await rig.poll(portal);
    // A rejection would have cost a request more.
    expect((await portal.statistics()).requests).toBe(3);
  });
});
