import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { json } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { PortalClient, webhookTokens } from '@relay/bitrix24';
import type { PortalEntry } from '@relay/consumer';
import { PortalClients, PortalSettings } from '@relay/portals';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import { freshDatabase, type TestDatabase } from '../../../test/support/database.js';
import { ItemsController } from './items.controller.js';
import { MirrorStore } from './items/mirror-store.js';
import { type MirrorSettings, mirrorSettings } from './smart-process-types/settings.js';

const batchRequest = z.object({ cmd: z.record(z.string(), z.string()) });
const storedRows = z.array(
  z.object({ item: z.string(), title: z.string().nullable(), deleted: z.boolean() }),
);

/** Simulates a portal's smart process items for `batch`, over HTTP. */
class ItemPortal {
  /** By `<entityTypeId>:<id>`. */
  readonly items = new Map<string, Record<string, unknown>>();
  /** Smart processes that answer with an error. */
  readonly rejections = new Map<string, string>();
  /** Existing, but hidden from this user. */
  readonly hidden = new Set<string>();
  /** Whether a command for these ids fails. */
  unreadable: (ids: readonly string[]) => boolean = () => false;
  requests = 0;
  private readonly server: Server = createServer((request, response) => {
    void this.answer(request, response);
  });

  async start(): Promise<string> {
    await new Promise<void>((resolve) => {
      this.server.listen(0, '127.0.0.1', resolve);
    });
    const { port } = z.object({ port: z.number() }).parse(this.server.address());
    return `http://127.0.0.1:${port}/rest/1/secret/`;
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { cmd } = batchRequest.parse(await json(request));
    this.requests += 1;
    const result: Record<string, unknown> = {};
    const errors: Record<string, unknown> = {};
    for (const [key, command] of Object.entries(cmd)) {
      const params = new URLSearchParams(command.split('?')[1]);
      const type = params.get('entityTypeId') ?? '';
      const error = this.unreadable(idsOf(params)) ? 'INTERNAL_SERVER_ERROR' : this.rejections.get(type);
      if (error !== undefined) errors[key] = { error, error_description: '' };
      else if (command.startsWith('crm.item.get'))
        this.get(`${type}:${params.get('id')}`, key, result, errors);
      else result[key] = { items: this.list(type, params) };
    }
    const body = { result, result_error: errors, result_total: [], result_next: [], result_time: [] };
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ result: body }));
  }

  /** `api-reference/crm/universal/crm-item-get.md` */
  private get(
    item: string,
    key: string,
    result: Record<string, unknown>,
    errors: Record<string, unknown>,
  ): void {
    const fields = this.items.get(item);
    if (!fields) errors[key] = { error: 'NOT_FOUND', error_description: '' };
    else if (this.hidden.has(item)) errors[key] = { error: 'ACCESS_DENIED', error_description: '' };
    else result[key] = { item: { ...fields, id: Number(item.split(':')[1]) } };
  }

  private list(type: string, params: URLSearchParams): object[] {
    return idsOf(params).flatMap((id) => {
      const item = this.items.get(`${type}:${id}`);
      return item && !this.hidden.has(`${type}:${id}`) ? [{ ...item, id: Number(id) }] : [];
    });
  }
}

function idsOf(params: URLSearchParams): string[] {
  return [...params].filter(([name]) => name.startsWith('filter[@id]')).map(([, id]) => id);
}

describe('ItemsController', () => {
  let database: TestDatabase;
  let source: DataSource;
  let portal: ItemPortal;
  let controller: ItemsController;
  let settings: MirrorSettings;

  beforeAll(async () => {
    database = await freshDatabase('apps/smart-process-sync');
    source = await new DataSource({ type: 'postgres', url: database.url }).initialize();
  });

  afterAll(async () => {
    await source.destroy();
    await database.drop();
  });

  beforeEach(async () => {
    await source.query('TRUNCATE mirror.items');
    settings = mirrorSettings.parse({});
    portal = new ItemPortal();
    const tokens = webhookTokens(await portal.start());
    const client = new PortalClient({
      memberId: 'm1',
      tokens,
      allowHosts: ['127.0.0.1'],
      repeatPauseMs: () => 0,
    });
    const module = await Test.createTestingModule({
      controllers: [ItemsController],
      providers: [
        MirrorStore,
        { provide: DataSource, useValue: source },
        { provide: PortalClients, useValue: { for: () => client } },
        { provide: PortalSettings, useValue: { of: () => Promise.resolve({ own: settings }) } },
      ],
    }).compile();
    controller = module.get(ItemsController);
  });

  afterEach(() => {
    portal.stop();
  });

  function handle(...entries: PortalEntry[]): ReturnType<ItemsController['mirrorItems']> {
    return controller.mirrorItems({ memberId: 'm1', entries });
  }

  async function mirrored(): Promise<z.output<typeof storedRows>> {
    const rows: unknown = await source.query(
      `SELECT entity_type_id || ':' || item_id AS item, title, deleted_at IS NOT NULL AS deleted
         FROM mirror.items ORDER BY entity_type_id, item_id`,
    );
    return storedRows.parse(rows);
  }

  it('mirrors the items of several smart processes', async () => {
    portal.items.set('147:5', { title: 'Order' }).set('148:5', { title: 'Repair' });
    expect(await handle(entryOf(147, '5'), entryOf(148, '5'))).toEqual([]);
    expect(await mirrored()).toEqual([
      { item: '147:5', title: 'Order', deleted: false },
      { item: '148:5', title: 'Repair', deleted: false },
    ]);
  });

  it('follows an item through change and deletion, whatever the events were called', async () => {
    portal.items.set('147:5', { title: 'Order' });
    await handle(entryOf(147, '5'));
    portal.items.set('147:5', { title: 'Order, paid' });
    await handle(entryOf(147, '5'));
    expect(await mirrored()).toEqual([{ item: '147:5', title: 'Order, paid', deleted: false }]);
    portal.items.delete('147:5');
    await handle(entryOf(147, '5'));
    expect(await mirrored()).toEqual([{ item: '147:5', title: 'Order, paid', deleted: true }]);
  });

  it('stores a broken item with what fits, and the good one beside it', async () => {
    portal.items.set('147:5', { title: { broken: '\0' }, categoryId: 'x', createdTime: 'never' });
    portal.items.set('147:6', { title: 'Good' });
    expect(await handle(entryOf(147, '5'), entryOf(147, '6'))).toEqual([]);
    expect(await mirrored()).toEqual([
      { item: '147:5', title: null, deleted: false },
      { item: '147:6', title: 'Good', deleted: false },
    ]);
  });

  it('reports the items of a smart process that cannot be read, deletes none of them, and mirrors the others', async () => {
    portal.items.set('147:5', { title: 'Order' }).set('148:7', { title: 'Repair' });
    await handle(entryOf(147, '5'));
    portal.rejections.set('147', 'ACCESS_DENIED');
    const failed = await handle(entryOf(147, '5'), entryOf(148, '7'));
    expect(failed).toMatchObject([{ entity: 'CRMDYNAMICITEM_147:5', error: { code: 'ACCESS_DENIED' } }]);
    expect(await mirrored()).toEqual([
      { item: '147:5', title: 'Order', deleted: false },
      { item: '148:7', title: 'Repair', deleted: false },
    ]);
  });

  it('tells an item that this user may not see from one that is gone', async () => {
    portal.items.set('147:5', { title: 'Secret' }).set('147:6', { title: 'Gone' });
    await handle(entryOf(147, '5'), entryOf(147, '6'));
    portal.hidden.add('147:5');
    portal.items.delete('147:6');
    expect(await handle(entryOf(147, '5'), entryOf(147, '6'))).toEqual([]);
    const rows: unknown = await source.query(
      `SELECT item_id, hidden_at IS NOT NULL AS hidden, deleted_at IS NOT NULL AS deleted FROM mirror.items ORDER BY 1`,
    );
    expect(rows).toEqual([
      { item_id: '5', hidden: true, deleted: false },
      { item_id: '6', hidden: false, deleted: true },
    ]);
    portal.hidden.clear();
    await handle(entryOf(147, '5'));
    expect(
      await source.query(`SELECT title FROM mirror.items WHERE item_id = 5 AND hidden_at IS NULL`),
    ).toEqual([{ title: 'Secret' }]);
  });

  it('believes an event of a deletion without asking for the item', async () => {
    portal.items.set('147:5', { title: 'Order' });
    await handle(entryOf(147, '5'));
    portal.items.delete('147:5');
    portal.requests = 0;
    await handle(entryOf(147, '5', 'ONCRMDYNAMICITEMDELETE'));
    expect(await mirrored()).toEqual([{ item: '147:5', title: 'Order', deleted: true }]);
    expect(portal.requests).toBe(1);
  });

  it('leaves alone what the settings of the portal exclude', async () => {
    settings = mirrorSettings.parse({ types: { exclude: [148] } });
    for (const type of ['147', '148', '31']) portal.items.set(`${type}:5`, { title: type });
    expect(await handle(entryOf(147, '5'), entryOf(148, '5'), entryOf(31, '5'))).toEqual([]);
    expect(await mirrored()).toEqual([{ item: '147:5', title: '147', deleted: false }]);
    settings = mirrorSettings.parse({ types: { include: [148] }, invoices: true });
    await handle(entryOf(147, '5'), entryOf(148, '5'), entryOf(31, '5'));
    expect((await mirrored()).map(({ item }) => item)).toEqual(['31:5', '147:5', '148:5']);
  });

  it('reads the items of forty smart processes by one request', async () => {
    const types = Array.from({ length: 40 }, (_, index) => 128 + index);
    for (const type of types) portal.items.set(`${type}:5`, { title: `Of ${type}` });
    expect(await handle(...types.map((type) => entryOf(type, '5')))).toEqual([]);
    expect(await mirrored()).toHaveLength(40);
    expect(portal.requests).toBe(1);
  });

  it('reports the items of a command that failed, and follows the other items of that smart process', async () => {
    const ids = Array.from({ length: 60 }, (_, index) => String(index + 1));
    for (const id of ids.slice(0, 55)) portal.items.set(`147:${id}`, { title: 'Order' });
    portal.unreadable = (asked) => asked.includes('1');
    const failed = await handle(...ids.map((id) => entryOf(147, id)));

    expect(failed.map(({ entity }) => entity)).toEqual(
      ids.slice(0, 50).map((id) => `CRMDYNAMICITEM_147:${id}`),
    );
    expect(await mirrored()).toEqual([
      ...ids.slice(50, 55).map((id) => ({ item: `147:${id}`, title: 'Order', deleted: false })),
      ...ids.slice(55).map((id) => ({ item: `147:${id}`, title: null, deleted: true })),
    ]);
  });

  it('reports all items when the portal cannot be asked, and deletes none', async () => {
    portal.items.set('147:5', { title: 'Order' });
    await handle(entryOf(147, '5'));
    portal.stop();
    expect(await handle(entryOf(147, '5'), entryOf(148, '6'))).toMatchObject([
      { entity: 'CRMDYNAMICITEM_147:5', error: { code: 'TRANSPORT' } },
      { entity: 'CRMDYNAMICITEM_148:6', error: { code: 'TRANSPORT' } },
    ]);
    expect(await mirrored()).toEqual([{ item: '147:5', title: 'Order', deleted: false }]);
  });

  it('has nothing to do for events that name no item', async () => {
    const entries = [
      entryOf(147, null),
      entryOf(0, '5'),
      entryOf(147, 'abc'),
      entryOf(147, '99999999999999999999'),
    ];
    expect(await handle(...entries)).toEqual([]);
    expect(await mirrored()).toEqual([]);
  });
});

function entryOf(
  entityTypeId: number,
  entityId: string | null,
  name = 'ONCRMDYNAMICITEMUPDATE',
): PortalEntry {
  const entity = `CRMDYNAMICITEM_${entityTypeId}:${entityId}`;
  const names = [name];
  return { entity, entityId, entityTypeId, names, firstSeenAt: 0, lastTs: 0 };
}
