import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Bitrix24Error } from '@relay/bitrix24';
import { CONSUMER_LOG, HASH_KEY, type PortalEntry } from '@relay/consumer';
import { nameSettings } from '@relay/names';
import { databaseOptions, loadMigrations, silentLog } from '@relay/platform';
import { CorrectionCounts, PORTAL_ENTITIES, PortalSettings, PortalsModule } from '@relay/portals';
import { installPortal, startTestSimulator, TestPortal } from '@relay/testing';
import { DataSource } from 'typeorm';
import { freshDatabase, type TestDatabase } from '../../../test/support/database.js';
import { eventually } from '../../../test/support/eventually.js';
import { ContactNamesController } from './contact-names.controller.js';
import { CorrectionMemory } from './correction-memory.js';

describe('ContactNamesController', () => {
  let database: TestDatabase;
  let module: TestingModule;
  let simulator: Awaited<ReturnType<typeof startTestSimulator>>;
  let portal: TestPortal;

  beforeAll(async () => {
    simulator = await startTestSimulator();
    database = await freshDatabase(await loadMigrations());
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
      providers: [
        CorrectionMemory,
        { provide: CONSUMER_LOG, useValue: silentLog },
        { provide: HASH_KEY, useValue: randomBytes(32) },
      ],
    }).compile();
    await module.get(PortalSettings).declare('name-formatter', nameSettings);
  });
  beforeEach(() => newPortal());
  afterAll(async () => {
    await module.close();
    await database.drop();
    await simulator.close();
  });

  async function newPortal(language = 'en'): Promise<void> {
    portal = await TestPortal.create(simulator.url, { language });
    await installPortal(module, portal);
  }

  const put = (id: string, fields: Record<string, string | null>) => portal.put('contact', id, fields);
  const updates = async () => (await portal.updates('contact')).map(String);
  /** Their names, as they are now. */
  const names = async (id: string) => {
    const found = await portal.item('contact', id);
    return { name: found?.['name'], secondName: found?.['secondName'], lastName: found?.['lastName'] };
  };

  function handle(...ids: (string | null)[]): ReturnType<ContactNamesController['formatNames']> {
    return module
      .get(ContactNamesController)
      .formatNames({ memberId: portal.memberId, entries: ids.map(entryOf) });
  }

  async function handleWhile(waiting: number, ids: readonly string[]) {
    await portal.fill('contact', ids.length, { name: 'jOHN' });
    return module.get(ContactNamesController).formatNames({
      memberId: portal.memberId,
      entries: ids.map(entryOf),
      hasMore: (atLeast = 1) => waiting >= atLeast,
    });
  }

  it('writes the fields that differ, and none that do not', async () => {
    await put('82', { name: 'jOHN', secondName: null, lastName: "o'neil" });
    await put('83', { name: 'Anna', secondName: '', lastName: 'SMith' });
    expect(await handle('82', '83')).toEqual([]);
    expect(await module.get(CorrectionCounts).total(portal.memberId, 'name-formatter', 7)).toBe(2);
    expect(await names('82')).toMatchObject({ name: 'John', secondName: null, lastName: "O'Neil" });
    expect(await names('83')).toMatchObject({ name: 'Anna', secondName: '', lastName: 'Smith' });
    expect(await updates()).toEqual(['82', '83']);
  });

  it('writes nothing for the event that its own write caused', async () => {
    await put('82', { name: 'jOHN', lastName: 'SMITH' });
    await handle('82');
    await handle('82');
    expect(await updates()).toEqual(['82']);
  });

  it('leaves alone what was put back, and goes on with the other fields', async () => {
    await put('82', { name: 'CLUB', lastName: 'SMITH' });
    await handle('82');
    await put('82', { name: 'CLUB', lastName: 'jones' });
    await handle('82');
    expect(await names('82')).toMatchObject({ name: 'CLUB', lastName: 'Jones' });
    await handle('82');
    expect(await updates()).toEqual(['82', '82']);
  });

  it('does not take a value for put back that is still there because its write failed', async () => {
    await put('82', { name: 'jOHN' });
    await portal.failNext('crm.item.update', 'ACCESS_DENIED', { id: 82 });
    expect(await handle('82')).toHaveLength(1);
    expect(await handle('82')).toEqual([]);
    expect(await names('82')).toMatchObject({ name: 'John' });
  });

  it('corrects once more where the process ended before the correction was remembered', async () => {
    await put('82', { name: 'CLUB' });
    await handle('82');
    await module
      .get(DataSource)
      .query('DELETE FROM names.corrections WHERE member_id = $1', [portal.memberId]);
    for (let i = 0; i < 3; i++) {
      await put('82', { name: 'CLUB' });
      await handle('82');
    }
    expect(await updates()).toEqual(['82', '82']);
  });

  it('fails the batch, with the names as they are, while it cannot know what was put back', async () => {
    const source = module.get(DataSource);
    await put('82', { name: 'jOHN' });
    await source.query('ALTER TABLE names.corrections RENAME TO gone');
    await expect(handle('82')).rejects.toThrow('names.corrections');
    await source.query('ALTER TABLE names.gone RENAME TO corrections');
    expect(await updates()).toEqual([]);
    expect(await handle('82')).toEqual([]);
    expect(await updates()).toEqual(['82']);
  });

  it('has nothing to do for contacts that are gone, nor for events without an id', async () => {
    expect(await handle('404', null)).toEqual([]);
    expect(await updates()).toEqual([]);
  });

  it('is done with a contact that is deleted between reading and writing', async () => {
    await put('82', { name: 'jOHN' });
    await portal.failNext('crm.item.update', 'NOT_FOUND', { id: 82 });
    expect(await handle('82')).toEqual([]);
  });

  it('reports the one contact whose update is denied, and updates the others', async () => {
    await portal.fill('contact', 3, { name: 'jOHN' });
    await portal.failNext('crm.item.update', 'ACCESS_DENIED', { id: 2 });
    const failed = await handle('1', '2', '3');
    expect(failed).toEqual([{ entity: 'CRMCONTACT:2', error: expect.any(Bitrix24Error) }]);
    expect(failed).toMatchObject([{ error: { code: 'ACCESS_DENIED' } }]);
    expect(await updates()).toEqual(['1', '3']);
  });

  describe('with more to do than fills a request', () => {
    const fifty = Array.from({ length: 50 }, (_, index) => String(index + 1));

    it('postpones what does not fill the last one while more waits, and remembers none of it', async () => {
      expect(await handleWhile(1, [...fifty, '51', '52'])).toEqual([
        { entity: 'CRMCONTACT:51', isPostponed: true },
        { entity: 'CRMCONTACT:52', isPostponed: true },
      ]);
      expect(await updates()).toEqual(fifty);
      expect(await handle('51', '52')).toEqual([]);
      expect(await updates()).toEqual([...fifty, '51', '52']);
    });

    it('writes all where nothing waits, and where there is no whole request', async () => {
      expect(await handleWhile(0, [...fifty, '51'])).toEqual([]);
      expect(await updates()).toHaveLength(51);
      await newPortal();
      expect(await handleWhile(24, fifty.slice(0, 49))).toEqual([]);
      expect(await updates()).toHaveLength(49);
    });

    it('postpones the first contact of a flood, which would have a request of its own', async () => {
      expect(await handleWhile(25, ['1'])).toEqual([{ entity: 'CRMCONTACT:1', isPostponed: true }]);
      expect(await updates()).toEqual([]);
    });
  });

  it('corrects a contact of a Turkish portal by Turkish rules', async () => {
    await newPortal('tr');
    await put('82', { name: 'ışık', secondName: 'ALİ', lastName: 'istanbul IŞIK' });
    expect(await handle('82')).toEqual([]);
    expect(await names('82')).toMatchObject({ name: 'Işık', secondName: 'Ali', lastName: 'İstanbul Işık' });
  });

  it('goes by what an operator has set for the portal, its language before that of the install', async () => {
    await module
      .get(PortalSettings)
      .set(portal.memberId, 'name-formatter', { language: 'nl', particles: 'capital' });
    await put('82', { name: 'ijsbrand', lastName: 'VAN DEN BERGHE' });
    await put('83', { name: 'Robert', lastName: 'Di Caprio De Niro' });
    expect(await handle('82', '83')).toEqual([]);
    expect(await names('82')).toMatchObject({ name: 'IJsbrand', lastName: 'Van Den Berghe' });
    expect(await updates()).toEqual(['82']);
  });

  it('follows a setting that changes', async () => {
    await put('82', { name: 'Ursula', lastName: 'von der Leyen' });
    const settings = module.get(PortalSettings);
    expect(await handle('82')).toEqual([]);
    expect(await updates()).toEqual([]);
    await settings.set(portal.memberId, 'name-formatter', { firstWord: 'capital' });
    await eventually(async () => {
      expect(await handle('82')).toEqual([]);
      expect(await names('82')).toMatchObject({ name: 'Ursula', lastName: 'Von der Leyen' });
    });
  });

  it('reports the one contact whose update breaks its request, and updates the 59 others', async () => {
    const ids = Array.from({ length: 60 }, (_, i) => String(i + 1));
    await portal.fill('contact', ids.length, { name: 'jOHN' });
    await portal.breakNext('crm.item.update', 'html', { id: 17, times: 100 });
    expect(await handle(...ids)).toMatchObject([{ entity: 'CRMCONTACT:17', error: { code: 'BAD_ANSWER' } }]);
    expect(new Set(await updates())).toEqual(new Set(ids.filter((id) => id !== '17')));
  });

  it('reports the contacts that could not be read, and updates the others', async () => {
    const ids = Array.from({ length: 60 }, (_, i) => String(i + 1));
    await portal.fill('contact', ids.length, { name: 'jOHN' });
    await portal.failNext('crm.item.list', 'INTERNAL_SERVER_ERROR', {
      where: { filter: { '@id': ['1'] } },
      times: 100,
    });
    const failed = await handle(...ids);
    expect(failed.map(({ entity }) => entity)).toEqual(ids.slice(0, 50).map((id) => `CRMCONTACT:${id}`));
    expect(await updates()).toEqual(ids.slice(50));
  });

  it('needs one request to read 120 contacts and three to write them', async () => {
    const ids = Array.from({ length: 120 }, (_, i) => String(i + 1));
    await portal.fill('contact', ids.length, { name: 'jOHN' });
    expect(await handle(...ids)).toEqual([]);
    expect((await updates()).toSorted((a, b) => Number(a) - Number(b))).toEqual(ids);
    expect((await portal.calls()).requests).toBe(4);
  });

  it('needs one request to read 2,500 contacts and fifty to write them', async () => {
    const ids = Array.from({ length: 2500 }, (_, i) => String(i + 1));
    await portal.fill('contact', ids.length, { name: 'jOHN' });
    expect(await handle(...ids)).toEqual([]);
    expect(new Set(await updates())).toEqual(new Set(ids));
    expect((await portal.calls()).requests).toBe(51);
  });
});

function entryOf(entityId: string | null, index: number): PortalEntry {
  const entity = entityId === null ? `event-${index}` : `CRMCONTACT:${entityId}`;
  return { entity, entityId, entityTypeId: 0, names: ['ONCRMCONTACTUPDATE'], firstSeenAt: 0, lastTs: 0 };
}
