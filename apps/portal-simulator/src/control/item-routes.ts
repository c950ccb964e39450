import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { ChangeOptions, Crm } from '../crm/crm.js';
import { OWNER_ID, type Actor } from '../crm/users.js';
import { changeAtRandom, generateItems } from '../data-generator/generate-items.js';
import { ControlError, textBody } from '../http/http-server.js';
import { everything } from '../items/filter.js';
import type { ItemStore } from '../items/item-store.js';
import type { Item } from '../items/item.js';
import type { Value, Values } from '../protocol/php.js';
import { ItemView } from '../rest/item-view.js';
import {
  at,
  controlRequests,
  namedPortal,
  numberIn,
  parseControl,
  type ControlParts,
  type NamedPortal,
} from './control-requests.js';

interface ItemsRoute {
  Params: { name: string; type: string };
  Querystring: { limit?: string; after?: string; fields?: string };
}

interface ItemRoute {
  Params: { name: string; type: string; id: string };
}

const DEFAULT_LIMIT = 1000;
const LINE_BATCH_SIZE = 500;

/** Items, as a portal's user works on them, and as a test reads them. No bucket, no `calls`. */
export function addItemRoutes(app: FastifyInstance, { portals }: ControlParts): void {
  app.post<NamedPortal>(at('/mass-update'), (request) => {
    const { crm } = namedPortal(portals, request);
    const { entityTypeId, count, fields } = parseControl(controlRequests.massUpdate, textBody(request));
    const items = firstItems(crm.items(entityTypeId), 0, count);
    for (const { id } of items) crm.updateItem(entityTypeId, id, numbered(fields, id), { userId: OWNER_ID });
    return { updated: items.length };
  });

  app.get<ItemsRoute>(at('/items/:type'), (request) => {
    const store = namedPortal(portals, request).crm.items(numberIn(request.params.type));
    const limit = numberIn(request.query.limit ?? String(DEFAULT_LIMIT));
    const view = new ItemView(store);
    const items = firstItems(store, numberIn(request.query.after ?? '0'), limit);
    return { total: store.size, items: items.map((item) => view.show(item)) };
  });

  app.get<ItemsRoute>(at('/items/:type/all'), (request, reply) => {
    const store = namedPortal(portals, request).crm.items(numberIn(request.params.type));
    const select = request.query.fields?.split(',');
    return reply.type('application/x-ndjson').send(Readable.from(lines(store, select)));
  });

  app.post<ItemsRoute>(at('/items/:type'), (request, reply) => {
    const { crm } = namedPortal(portals, request);
    const store = crm.items(numberIn(request.params.type));
    const { id, fields, count, by, ...options } = parseControl(controlRequests.item, textBody(request));
    const cause: Actor = by === 'robot' ? 'robot' : { userId: OWNER_ID };
    if (count !== undefined) {
      for (let made = 0; made < count; made += 1) addItem(crm, store, fields, cause, options);
      reply.code(201);
      return { added: count };
    }
    const view = new ItemView(store);
    if (id === undefined) {
      reply.code(201);
      return view.show(addItem(crm, store, fields, cause, options));
    }
    return view.show(crm.updateItem(store.entityTypeId, id, fields, cause, options));
  });

  app.get<ItemRoute>(at('/items/:type/:id'), (request) => {
    const { crm } = namedPortal(portals, request);
    const store = crm.items(numberIn(request.params.type));
    return new ItemView(store).show(crm.item(store.entityTypeId, numberIn(request.params.id)));
  });

  app.delete<ItemRoute>(at('/items/:type/:id'), (request) => {
    const { type, id } = request.params;
    namedPortal(portals, request).crm.deleteItem(numberIn(type), numberIn(id), { userId: OWNER_ID });
    return { deleted: true };
  });
}

function firstItems(store: ItemStore, above: number, limit: number): Item[] {
  const filter = { ...everything, above };
  return store.page({ filter, orders: [], offset: 0, limit, count: false }).items;
}

/** All items in the order of their ids, each a line of JSON; one that is changed meanwhile may come either way. */
function* lines(store: ItemStore, select: readonly string[] | undefined): Generator<string> {
  const view = new ItemView(store, { select });
  for (let above = 0; ;) {
    const items = firstItems(store, above, LINE_BATCH_SIZE);
    if (items.length === 0) return;
    above = items.at(-1)?.id ?? above;
    yield items.map((item) => `${JSON.stringify(view.show(item))}\n`).join('');
  }
}

function addItem(crm: Crm, store: ItemStore, fields: Values, cause: Actor, options: ChangeOptions): Item {
  return crm.addItem(store.entityTypeId, numbered(fields, store.lastId + 1), cause, options);
}

/** `{n}` in a text becomes the item's id. */
function numbered(fields: Values, id: number): Values {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]): [string, Value] => [
      name,
      typeof value === 'string' ? value.replaceAll('{n}', String(id)) : value,
    ]),
  );
}

interface GenerateRoute {
  Params: { name: string; type: string };
}

/** Much data at once, much change at once, another time, and what somebody may not see. */
export function addDataGeneratorRoutes(app: FastifyInstance, { portals }: ControlParts): void {
  app.post<GenerateRoute>(at('/items/:type/make'), (request, reply) => {
    const { crm } = namedPortal(portals, request);
    const { count, seed, tell } = parseControl(controlRequests.make, textBody(request));
    const store = crm.items(numberIn(request.params.type));
    const before = store.lastId;
    generateItems(store, count, seed, OWNER_ID);
    if (tell) crm.emitAdded(store.entityTypeId, before);
    reply.code(201);
    return { added: count, lastId: store.lastId };
  });

  app.post<NamedPortal>(at('/random-changes'), (request) => {
    const { crm } = namedPortal(portals, request);
    return changeAtRandom(crm, parseControl(controlRequests.randomChanges, textBody(request)));
  });

  app.post<NamedPortal>(at('/backup'), (request, reply) => {
    const { crm } = namedPortal(portals, request);
    const { as } = parseControl(controlRequests.backup, textBody(request));
    crm.backups.set(as, crm.objects.backup());
    reply.code(201);
    return { as };
  });

  app.post<NamedPortal>(at('/restore'), (request) => {
    const { crm } = namedPortal(portals, request);
    const { to } = parseControl(controlRequests.restore, textBody(request));
    const backup = crm.backups.get(to);
    if (!backup) throw new ControlError(`there is no backup ${to}`, 404);
    crm.objects.restore(backup);
    return { to };
  });

  app.post<NamedPortal>(at('/rights'), (request) => {
    const { rights } = namedPortal(portals, request).crm;
    const order = parseControl(controlRequests.rights, textBody(request));
    const { userId, entityTypeId, hidden, administrator } = order;
    if (entityTypeId !== undefined) {
      rights.hide(userId, entityTypeId, hidden === 'all' ? hidden : new Set(hidden));
    }
    if (administrator !== undefined) rights.setAdministrator(userId, administrator);
    return order;
  });
}
