import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { ChangeOptions, Crm } from '../crm/crm.js';
import { OWNER_ID, type Actor } from '../crm/users.js';
import { applyRandomChanges, generateItems } from '../data-generator/generate-items.js';
import { ControlError, textBody } from '../http/http-server.js';
import { MATCH_ALL } from '../items/filter.js';
import type { ItemStore } from '../items/item-store.js';
import type { Item } from '../items/item.js';
import type { Value, Values } from '../protocol/php.js';
import { ItemView } from '../rest/item-view.js';
import {
  portalPath,
  controlRequests,
  namedPortal,
  parseNumber,
  parseControl,
  type ControlDependencies,
  type PortalRoute,
} from './control-requests.js';

interface GenerateRoute {
  Params: { name: string; type: string };
}

interface ItemsRoute {
  Params: { name: string; type: string };
  Querystring: { limit?: string; after?: string; fields?: string };
}

interface ItemRoute {
  Params: { name: string; type: string; id: string };
}

const DEFAULT_LIMIT = 1000;
const LINE_BATCH_SIZE = 500;

/**
 * Routes that change items as a user does, and that read them for tests. They use no REST: no bucket, no counted calls.
 */
export function addItemRoutes(app: FastifyInstance, { portals }: ControlDependencies): void {
  app.post<PortalRoute>(portalPath('/mass-update'), (request) => {
    const { crm } = namedPortal(portals, request);
    const { entityTypeId, count, fields } = parseControl(controlRequests.massUpdate, textBody(request));
    const items = firstItems(crm.items(entityTypeId), 0, count);
    for (const { id } of items) crm.updateItem(entityTypeId, id, numbered(fields, id), { userId: OWNER_ID });
    return { updated: items.length };
  });

  app.get<ItemsRoute>(portalPath('/items/:type'), (request) => {
    const store = namedPortal(portals, request).crm.items(parseNumber(request.params.type));
    const limit = parseNumber(request.query.limit ?? String(DEFAULT_LIMIT));
    const view = new ItemView(store);
    const items = firstItems(store, parseNumber(request.query.after ?? '0'), limit);
    return { total: store.size, items: items.map((item) => view.show(item)) };
  });

  app.get<ItemsRoute>(portalPath('/items/:type/all'), (request, reply) => {
    const store = namedPortal(portals, request).crm.items(parseNumber(request.params.type));
    const select = request.query.fields?.split(',');
    return reply.type('application/x-ndjson').send(Readable.from(lines(store, select)));
  });

  app.post<ItemsRoute>(portalPath('/items/:type'), (request, reply) => {
    const { crm } = namedPortal(portals, request);
    const store = crm.items(parseNumber(request.params.type));
    const { id, fields, count, by, ...options } = parseControl(controlRequests.item, textBody(request));
    const actor: Actor = by === 'robot' ? 'robot' : { userId: OWNER_ID };
    if (count !== undefined) {
      for (let added = 0; added < count; added += 1) addItem(crm, store, fields, actor, options);
      reply.code(201);
      return { added: count };
    }
    const view = new ItemView(store);
    if (id === undefined) {
      reply.code(201);
      return view.show(addItem(crm, store, fields, actor, options));
    }
    return view.show(crm.updateItem(store.entityTypeId, id, fields, actor, options));
  });

  app.get<ItemRoute>(portalPath('/items/:type/:id'), (request) => {
    const { crm } = namedPortal(portals, request);
    const store = crm.items(parseNumber(request.params.type));
    return new ItemView(store).show(crm.item(store.entityTypeId, parseNumber(request.params.id)));
  });

  app.put<ItemRoute>(portalPath('/items/:type/:id'), (request) => {
    const { crm } = namedPortal(portals, request);
    const store = crm.items(parseNumber(request.params.type));
    const { fields } = parseControl(controlRequests.itemValues, textBody(request));
    return new ItemView(store).show(crm.putItem(store.entityTypeId, parseNumber(request.params.id), fields));
  });

  app.delete<ItemRoute>(portalPath('/items/:type/:id'), (request) => {
    const { type, id } = request.params;
    namedPortal(portals, request).crm.deleteItem(parseNumber(type), parseNumber(id), { userId: OWNER_ID });
    return { deleted: true };
  });
}

function firstItems(store: ItemStore, above: number, limit: number): Item[] {
  const filter = { ...MATCH_ALL, above };
  return store.page({ filter, orders: [], offset: 0, limit, count: false }).items;
}

/** All items in the order of their ids, one JSON line each; an item that changes meanwhile may come in either state. */
function* lines(store: ItemStore, select: readonly string[] | undefined): Generator<string> {
  const view = new ItemView(store, { select });
  for (let above = 0; ;) {
    const items = firstItems(store, above, LINE_BATCH_SIZE);
    if (items.length === 0) return;
    above = items.at(-1)?.id ?? above;
    yield items.map((item) => `${JSON.stringify(view.show(item))}\n`).join('');
  }
}

function addItem(crm: Crm, store: ItemStore, fields: Values, actor: Actor, options: ChangeOptions): Item {
  return crm.addItem(store.entityTypeId, numbered(fields, store.lastId + 1), actor, options);
}

/** Replaces `{n}` in texts by the id of the item. */
function numbered(fields: Values, id: number): Values {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]): [string, Value] => [
      name,
      typeof value === 'string' ? value.replaceAll('{n}', String(id)) : value,
    ]),
  );
}

/** Routes that generate items and random changes, back up and restore a portal's CRM, and set users' rights. */
export function addTestDataRoutes(app: FastifyInstance, { portals }: ControlDependencies): void {
  app.post<GenerateRoute>(portalPath('/items/:type/make'), (request, reply) => {
    const { crm } = namedPortal(portals, request);
    const { count, seed, tell } = parseControl(controlRequests.generate, textBody(request));
    const store = crm.items(parseNumber(request.params.type));
    const before = store.lastId;
    generateItems(store, count, seed, OWNER_ID);
    if (tell) crm.emitAdded(store.entityTypeId, before);
    reply.code(201);
    return { added: count, lastId: store.lastId };
  });

  app.post<PortalRoute>(portalPath('/random-changes'), (request) => {
    const { crm } = namedPortal(portals, request);
    return applyRandomChanges(crm, parseControl(controlRequests.randomChanges, textBody(request)));
  });

  app.post<PortalRoute>(portalPath('/backup'), (request, reply) => {
    const { crm } = namedPortal(portals, request);
    const { as } = parseControl(controlRequests.backup, textBody(request));
    crm.backups.set(as, crm.objects.backup());
    reply.code(201);
    return { as };
  });

  app.post<PortalRoute>(portalPath('/restore'), (request) => {
    const { crm } = namedPortal(portals, request);
    const { to } = parseControl(controlRequests.restore, textBody(request));
    const backup = crm.backups.get(to);
    if (!backup) throw new ControlError(`the backup ${to} does not exist`, 404);
    crm.objects.restore(backup);
    return { to };
  });

  app.post<PortalRoute>(portalPath('/rights'), (request) => {
    const { rights } = namedPortal(portals, request).crm;
    const given = parseControl(controlRequests.rights, textBody(request));
    const { userId, entityTypeId, hidden, administrator } = given;
    if (entityTypeId !== undefined) {
      rights.hide(userId, entityTypeId, hidden === 'all' ? hidden : new Set(hidden));
    }
    if (administrator !== undefined) rights.setAdministrator(userId, administrator);
    return given;
  });
}
