import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { clear, PortalsDatabase } from '../../test/portals-database.js';
import { PortalRepository } from '../repository/portal-repository.js';
import type { DeliveryMode } from '../database/entities.js';
import { EventBindings } from './event-bindings.js';
import { OfflineBindings } from './offline-bindings.js';
import { Subscriptions } from './subscriptions.js';
import { OFFLINE_PULLER, OFFLINE_SIGNAL } from './wanted-names.js';

const here = 'https://relay.example.com/b24/events';
const own = ['ONAPPUNINSTALL', 'ONAPPTEST'];
const contact = 'ONCRMCONTACTUPDATE';
const suffixed = 'ONCRMDYNAMICITEMADD_147';

describe('what is bound in each delivery mode', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let portals: PortalRepository;
  let online: EventBindings;
  let offline: OfflineBindings;
  let subscriptions: Subscriptions;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    portals = new PortalRepository(source, database.box, []);
    online = new EventBindings(source);
    offline = new OfflineBindings(source);
    subscriptions = new Subscriptions(source, { on: () => () => undefined });
  });
  beforeEach(async () => {
    await clear(source);
    await install();
    await subscriptions.record('names', [contact, suffixed]);
    await subscriptions.record(OFFLINE_PULLER, [OFFLINE_SIGNAL]);
  });
  afterAll(() => database.close());

  async function install(): Promise<void> {
    const grant = {
      memberId: 'm1',
      clientEndpoint: 'https://one.bitrix24.com/rest/',
      accessToken: 'access',
      refreshToken: 'refresh',
      expiresAt: 0,
      scope: [],
      status: 'L',
      oauthHost: 'oauth.bitrix.info',
    };
    await portals.install(grant, {});
  }

  const names = async () => [...own, ...(await subscriptions.wanted())];
  const onlineMissing = async () => (await online.missing(await names(), here)).get('m1') ?? [];
  const onlineUnwanted = async () => (await online.unwanted(await names(), here)).get('m1') ?? [];
  const plan = async () => {
    const { missing, unwanted } = await offline.plan('m1', await names());
    return { missing, unwanted };
  };
  const due = async () => offline.due(await names());

  it.each<[DeliveryMode | 'unset', string[], string[]]>([
    ['unset', [...own, contact, suffixed, OFFLINE_SIGNAL], [contact, suffixed]],
    ['online', [...own, contact, suffixed], []],
    ['both', [...own, contact, suffixed, OFFLINE_SIGNAL], [contact, suffixed]],
    ['offline', [], [contact, suffixed]],
  ])('%s: online %j, offline %j', async (mode, expectedOnline, expectedOffline) => {
    if (mode !== 'unset') await offline.setMode('m1', mode);
    expect(await onlineMissing()).toEqual(expectedOnline.toSorted());
    expect(await plan()).toEqual({ missing: expectedOffline, unwanted: [] });
    expect(await due()).toEqual(expectedOffline.length > 0 ? ['m1'] : []);
  });

  it('a pair of webhooks has no offline queue, whatever the default is', async () => {
    await portals.registerWebhook({
      memberId: 'm2',
      webhookUrl: 'https://two.bitrix24.com/rest/1/secret/',
      applicationToken: 'token',
    });
    expect([...(await offline.reports()).keys()]).toEqual(['m1']);
    expect(await due()).toEqual(['m1']);
    expect(await offline.plan('m2', await names())).toMatchObject({ missing: [], unwanted: [] });
  });

  it('no queue grows while nobody reads it: without a puller nothing is bound offline, and what was is unbound', async () => {
    await offline.setMode('m1', 'both');
    await offline.save('m1', [contact, suffixed], 'bound');
    expect(await due()).toEqual([]);
    await subscriptions.drain(OFFLINE_PULLER);
    expect(await plan()).toEqual({ missing: [], unwanted: [contact, suffixed] });
    expect(await due()).toEqual(['m1']);
  });

  it('what is bound on the side that a mode does not use is unbound', async () => {
    for (const name of await onlineMissing()) await online.save('m1', name, here, 'bound');
    await offline.setMode('m1', 'offline');
    expect(await onlineUnwanted()).toEqual([...own, contact, suffixed, OFFLINE_SIGNAL].toSorted());
    await offline.save('m1', [contact], 'bound');
    await offline.setMode('m1', 'online');
    expect(await plan()).toEqual({ missing: [], unwanted: [contact] });
    expect(await onlineUnwanted()).toEqual([OFFLINE_SIGNAL]);
  });

  it('a basic name stays bound for a suffixed one that the portal does not know, which is tried again after a day', async () => {
    await offline.setMode('m1', 'both');
    await offline.save('m1', [contact, 'ONCRMDYNAMICITEMADD'], 'bound');
    await offline.save('m1', [suffixed], 'unknown-event');
    expect(await plan()).toEqual({ missing: [], unwanted: [] });
    await source.query(`UPDATE portals.offline_bindings SET bound_at = now() - interval '25 hours'`);
    expect((await plan()).missing).toEqual([suffixed]);
  });

  it('a consumer that is retired takes its events with it', async () => {
    await offline.setMode('m1', 'both');
    await offline.save('m1', [contact, suffixed], 'bound');
    await subscriptions.remove('names');
    expect(await plan()).toEqual({ missing: [], unwanted: [contact, suffixed] });
  });

  it('without an administrator it waits for another pair, or a day', async () => {
    await offline.setMode('m1', 'both');
    await offline.saveAccess('m1', { isAdministrator: false, canReserve: true, hasConnector: true });
    expect([await due(), (await plan()).missing]).toEqual([[], []]);
    expect((await offline.reports()).get('m1')).toEqual({
      mode: 'both',
      bound: 0,
      isAdministrator: false,
      canReserve: true,
    });
    await source.query(`UPDATE portals.offline_access SET checked_at = now() - interval '25 hours'`);
    expect(await due()).toEqual(['m1']);
    await offline.saveAccess('m1', { isAdministrator: false, canReserve: true, hasConnector: true });
    await install();
    expect(await due()).toEqual(['m1']);
  });

  it('an install keeps the mode and forgets what was bound', async () => {
    await offline.setMode('m1', 'both');
    await offline.save('m1', [contact], 'bound');
    await install();
    expect((await offline.reports()).get('m1')).toMatchObject({ mode: 'both', bound: 0 });
  });

  it('a portal without the application, or none, takes no mode but online', async () => {
    await portals.registerWebhook({
      memberId: 'm2',
      webhookUrl: 'https://two.bitrix24.com/rest/1/secret/',
      applicationToken: 'token',
    });
    await expect(offline.setMode('m2', 'both')).rejects.toMatchObject({ code: 'NOT_INSTALLED' });
    await expect(offline.setMode('m3', 'online')).rejects.toMatchObject({ code: 'NOT_INSTALLED' });
    await offline.setMode('m2', 'online');
  });
});
