import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Bitrix24Error } from '@relay/bitrix24';
import type { PortalEntry } from '@relay/consumer';
import { databaseOptions, silentLog } from '@relay/platform';
import { PORTAL_ENTITIES, PortalRepository, PortalSettings, PortalsModule } from '@relay/portals';
import { freshDatabase, type TestDatabase } from '../../../test/support/database.js';
import { eventually } from '../../../test/support/eventually.js';
import { ContactPortal } from '../test/contact-portal.js';
import { nameSettings } from './settings.js';
import { ContactNamesController } from './contact-names.controller.js';

describe('ContactNamesController', () => {
  let database: TestDatabase;
  let module: TestingModule;
  let portal: ContactPortal;
  let memberId: string;

  beforeAll(async () => {
    database = await freshDatabase('libs/portals');
    module = await Test.createTestingModule({
      imports: [
        TypeOrmModule.forRoot(databaseOptions(database.url, 'spec', PORTAL_ENTITIES)),
        PortalsModule.forRoot({
          tokenKeys: [{ id: 'k1', key: randomBytes(32) }],
          allowHosts: ['127.0.0.1'],
          log: silentLog,
          databaseUrl: database.url,
        }),
      ],
      controllers: [ContactNamesController],
    }).compile();
    await module.get(PortalSettings).declare('name-formatter', nameSettings);
  });
  beforeEach(async () => {
    portal = new ContactPortal();
    memberId = randomUUID();
    await portal.start();
    await install(portal.url);
  });
  afterEach(() => {
    portal.stop();
  });
  afterAll(async () => {
    await module.close();
    await database.drop();
  });

  async function install(clientEndpoint: string, language?: string): Promise<void> {
    const tokens = { accessToken: 'made-up-access', refreshToken: 'made-up-refresh' };
    const expiresAt = Date.now() + 3_600_000;
    const rest = { scope: ['crm'], status: 'L', oauthHost: 'oauth.bitrix.info' };
    const grant = { memberId, clientEndpoint, ...tokens, expiresAt, ...rest };
    const claim = { domain: 'one.bitrix24.com', applicationToken: 'made-up-token', language };
    await module.get(PortalRepository).install(grant, claim);
  }

  function handle(...ids: (string | null)[]): ReturnType<ContactNamesController['formatNames']> {
    return module.get(ContactNamesController).formatNames({ memberId, entries: ids.map(entryOf) });
  }

  it('writes the fields that differ, and none that do not', async () => {
    portal.contacts.set('82', { name: 'jOHN', secondName: null, lastName: "o'neil" });
    portal.contacts.set('83', { name: 'Anna', secondName: '', lastName: 'SMith' });
    expect(await handle('82', '83')).toEqual([]);
    expect(portal.contacts.get('82')).toEqual({ name: 'John', secondName: null, lastName: "O'Neil" });
    expect(portal.contacts.get('83')).toEqual({ name: 'Anna', secondName: '', lastName: 'Smith' });
    expect(portal.updates).toEqual(['82', '83']);
  });

  it('writes nothing for the event that its own write caused', async () => {
    portal.contacts.set('82', { name: 'jOHN', lastName: 'SMITH' });
    await handle('82');
    await handle('82');
    expect(portal.updates).toEqual(['82']);
  });

  it('has nothing to do for contacts that are gone, nor for events without an id', async () => {
    expect(await handle('404', null)).toEqual([]);
    expect(portal.updates).toEqual([]);
  });

  it('is done with a contact that is deleted between reading and writing', async () => {
    portal.contacts.set('82', { name: 'jOHN' });
    portal.refusals.set('82', 'NOT_FOUND');
    expect(await handle('82')).toEqual([]);
  });

  it('reports the one contact whose update is refused, and updates the others', async () => {
    for (const id of ['1', '2', '3']) portal.contacts.set(id, { name: 'jOHN' });
    portal.refusals.set('2', 'ACCESS_DENIED');
    const failed = await handle('1', '2', '3');
    expect(failed).toEqual([{ entity: 'CRMCONTACT:2', error: expect.any(Bitrix24Error) }]);
    expect(failed[0]?.error).toMatchObject({ code: 'ACCESS_DENIED' });
    expect(portal.updates).toEqual(['1', '3']);
  });

  it('corrects a contact of a Turkish portal by Turkish rules', async () => {
    await install(portal.url, 'tr');
    portal.contacts.set('82', { name: 'ışık', secondName: 'ALİ', lastName: 'istanbul IŞIK' });
    expect(await handle('82')).toEqual([]);
    expect(portal.contacts.get('82')).toEqual({ name: 'Işık', secondName: 'Ali', lastName: 'İstanbul Işık' });
  });

  it('goes by what an operator has set for the portal, its language before that of the install', async () => {
    await install(portal.url, 'en');
    await module
      .get(PortalSettings)
      .set(memberId, 'name-formatter', { language: 'nl', particles: 'capital' });
    portal.contacts.set('82', { name: 'ijsbrand', lastName: 'VAN DEN BERGHE' });
    portal.contacts.set('83', { name: 'Robert', lastName: 'Di Caprio De Niro' });
    expect(await handle('82', '83')).toEqual([]);
    expect(portal.contacts.get('82')).toEqual({ name: 'IJsbrand', lastName: 'Van Den Berghe' });
    expect(portal.updates).toEqual(['82']);
  });

  it('follows a setting that changes', async () => {
    portal.contacts.set('82', { name: 'Robert', lastName: 'Anna De Niro' });
    const settings = module.get(PortalSettings);
    await settings.set(memberId, 'name-formatter', { particles: 'capital' });
    await eventually(async () => expect(await handle('82')).toEqual([]));
    expect(portal.updates).toEqual([]);
    await settings.set(memberId, 'name-formatter', { particles: 'lower' });
    await eventually(async () => {
      expect(await handle('82')).toEqual([]);
      expect(portal.contacts.get('82')).toEqual({ name: 'Robert', lastName: 'Anna de Niro' });
    });
  });

  it('reports the one contact whose update breaks its request, and updates the 59 others', async () => {
    const ids = Array.from({ length: 60 }, (_, i) => String(i + 1));
    for (const id of ids) portal.contacts.set(id, { name: 'jOHN' });
    portal.deadly = '17';
    expect(await handle(...ids)).toMatchObject([{ entity: 'CRMCONTACT:17', error: { code: 'BAD_ANSWER' } }]);
    expect(new Set(portal.updates)).toEqual(new Set(ids.filter((id) => id !== '17')));
  });

  it('reports the contacts that could not be read, and updates the others', async () => {
    const ids = Array.from({ length: 60 }, (_, i) => String(i + 1));
    for (const id of ids) portal.contacts.set(id, { name: 'jOHN' });
    portal.unreadable.add('17');
    const failed = await handle(...ids);
    expect(failed.map(({ entity }) => entity)).toEqual(ids.slice(0, 50).map((id) => `CRMCONTACT:${id}`));
    expect(portal.updates).toEqual(ids.slice(50));
  });

  it('needs one request to read 120 contacts and three to write them', async () => {
    const ids = Array.from({ length: 120 }, (_, i) => String(i + 1));
    for (const id of ids) portal.contacts.set(id, { name: 'jOHN' });
    expect(await handle(...ids)).toEqual([]);
    expect(portal.updates.toSorted((a, b) => Number(a) - Number(b))).toEqual(ids);
    expect(portal.requests).toBe(4);
  });

  it('needs one request to read 2,500 contacts and fifty to write them', async () => {
    const ids = Array.from({ length: 2500 }, (_, i) => String(i + 1));
    for (const id of ids) portal.contacts.set(id, { name: 'jOHN' });
    expect(await handle(...ids)).toEqual([]);
    expect(new Set(portal.updates)).toEqual(new Set(ids));
    expect(portal.requests).toBe(51);
  });
});

function entryOf(entityId: string | null, index: number): PortalEntry {
  const entity = entityId === null ? `event-${index}` : `CRMCONTACT:${entityId}`;
  return { entity, entityId, entityTypeId: 0, names: ['ONCRMCONTACTUPDATE'], firstSeenAt: 0, lastTs: 0 };
}
