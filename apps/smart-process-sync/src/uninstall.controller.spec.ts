import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import type { PortalEntry } from '@relay/consumer';
import { PortalCache, type KnownPortal } from '@relay/portals';
import { DataSource } from 'typeorm';
import { freshDatabase, type TestDatabase } from '../../../test/support/database.js';
import { eventually } from '../../../test/support/eventually.js';
import { toItemRow } from './items/item-row.js';
import { MirrorStore } from './items/mirror-store.js';
import { PortalSyncStateStore } from './schedule/portal-sync-state-store.js';
import { TypeStore } from './smart-process-types/type-store.js';
import { UninstallController } from './uninstall.controller.js';
import { ViewStore } from './views/view-store.js';

const types = [147, 148];

function entry(data: { CLEAN?: string }): PortalEntry<'ONAPPUNINSTALL'> {
  const times = { firstSeenAt: 1_766_047_125_250, lastTs: 1_766_047_125 };
  return { entity: 'an id', entityId: null, entityTypeId: 0, names: ['ONAPPUNINSTALL'], ...times, data };
}

/** Real: the mirror in PostgreSQL. Stubbed: the portal cache. */
describe('the mirror of a portal that is uninstalled', () => {
  let database: TestDatabase;
  let source: DataSource;
  let store: MirrorStore;
  let controller: UninstallController;
  let app: TestingModule;
  const states = new Map<string, KnownPortal['state']>();
  const expired = new Set<string>();

  const portalCache = {
    expire: (memberId: string) => expired.add(memberId),
    find: (memberId: string) => {
      const state = states.get(memberId);
      return Promise.resolve(state && { state: expired.has(memberId) ? state : 'installed' });
    },
  };

  beforeAll(async () => {
    database = await freshDatabase('apps/smart-process-sync');
    source = await new DataSource({ type: 'postgres', url: database.url }).initialize();
    app = await Test.createTestingModule({
      controllers: [UninstallController],
      providers: [
        MirrorStore,
        PortalSyncStateStore,
        TypeStore,
        ViewStore,
        { provide: DataSource, useValue: source },
        { provide: PortalCache, useValue: portalCache },
      ],
    }).compile();
    store = app.get(MirrorStore);
    controller = app.get(UninstallController);
  });
  afterAll(async () => {
    await source.destroy();
    await database.drop();
  });

  async function fill(memberId: string): Promise<void> {
    for (const type of types) {
      const items = [5, 6].map((id) => toItemRow(String(id), { id, title: 'Order' }));
      await store.saveItems(await store.beginRead(memberId, type), items);
      await store.markDeleted(await store.beginRead(memberId, type), ['6']);
    }
  }

  async function rowsOf(memberId: string): Promise<number> {
    const rows = await source.query<unknown[]>('SELECT 1 FROM mirror.items WHERE member_id = $1', [memberId]);
    return rows.length;
  }

  it.each([
    ['is forgotten when the user wanted that', '1', 'uninstalled', 0],
    ['stays when the user wanted that', '0', 'uninstalled', 4],
    ['stays when the event does not say', undefined, 'uninstalled', 4],
    ['stays when the portal has been installed again meanwhile', '1', 'installed', 4],
  ] as const)('%s', async (what, CLEAN, state, left) => {
    states.set(what, state);
    await fill(what);
    await fill('another');
    await controller.forget({ memberId: what, entries: [entry(CLEAN === undefined ? {} : { CLEAN })] });
    expect([await rowsOf(what), await rowsOf('another')]).toEqual([left, 4]);
  });

  it('takes its types and their views with it', async () => {
    states.set('viewed', 'uninstalled');
    const type = { entityTypeId: 147, code: 'orders', title: 'Orders' };
    await app.get(TypeStore).save('viewed', [{ ...type, isMirrored: true }]);
    const portal = { memberId: 'viewed', domain: 'viewed.bitrix24.test' };
    const fields = [{ name: 'id', upperName: 'ID', type: 'integer', title: 'ID', isMultiple: false }];
    await app.get(ViewStore).refresh({ ...type, ...portal, fields });
    expect(await source.query('SELECT * FROM mirror.viewed_orders')).toEqual([]);
    await controller.forget({ memberId: 'viewed', entries: [entry({ CLEAN: '1' })] });
    await expect(source.query('SELECT * FROM mirror.viewed_orders')).rejects.toThrow('does not exist');
    expect(await app.get(TypeStore).all('viewed')).toEqual([]);
  });

  it('is not brought back by a read that began before', async () => {
    states.set('read before', 'uninstalled');
    await fill('read before');
    const read = await store.beginRead('read before', 147);
    await controller.forget({ memberId: 'read before', entries: [entry({ CLEAN: '1' })] });
    await store.saveItems(read, [toItemRow('5', { id: 5, title: 'Order' })]);
    await store.markDeleted(read, ['6']);
    expect(await rowsOf('read before')).toBe(0);
    await fill('read before');
    expect(await rowsOf('read before')).toBe(4);
  });

  it('is forgotten with what is being stored at the same time', async () => {
    states.set('storing', 'uninstalled');
    await fill('storing');
    const read = await store.beginRead('storing', 147);
    // One connection, so that the statements after BEGIN are one transaction.
    const saver = await new DataSource({ type: 'postgres', url: database.url, poolSize: 1 }).initialize();
    try {
      await saver.query('BEGIN');
      await new MirrorStore(saver).saveItems(read, [toItemRow('7', { id: 7, title: 'Order' })]);
      const forgotten = controller.forget({ memberId: 'storing', entries: [entry({ CLEAN: '1' })] });
      await eventually(async () => {
        const waiting = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
        expect(await source.query(waiting)).toHaveLength(1);
      });
      await saver.query('COMMIT');
      await forgotten;
    } finally {
      await saver.destroy();
    }
    expect(await rowsOf('storing')).toBe(0);
  });

  it('keeps what was read after an install that came while the uninstall was looked at', async () => {
    states.set('back', 'uninstalled');
    await fill('back');
    const upTo = await store.latestRead();
    await fill('back');
    await store.forgetPortal('back', upTo);
    expect(await rowsOf('back')).toBe(4);
  });

  it('is forgotten once, however often the event comes', async () => {
    states.set('twice', 'uninstalled');
    await fill('twice');
    const entries = [entry({ CLEAN: '1' }), entry({ CLEAN: '1' })];
    await controller.forget({ memberId: 'twice', entries });
    await controller.forget({ memberId: 'twice', entries });
    expect(await rowsOf('twice')).toBe(0);
  });
});
