import type { FastifyInstance, FastifyRequest } from 'fastify';
import { textBody } from '../http.js';
import { integerOf, type Value, type Values } from '../php.js';
import { ownerId, type Cause, type Portal } from '../portal.js';
import { showItem } from '../rest/item-methods.js';
import { ControlError } from './control-error.js';
import { controlRequests, parseControl } from './control-requests.js';
import { at, namedPortal, type ControlParts, type NamedPortal } from './named-portal.js';

interface ItemsRoute {
  Params: { name: string; type: string };
  Querystring: { limit?: string; after?: string };
}

interface ItemRoute {
  Params: { name: string; type: string; id: string };
}

const usualLimit = 1000;

/**
 * Data, faults and counts: what a test does as the portal's user, or sees as nobody else could. No bucket,
 * no `calls`.
 */
export function addDataRoutes(app: FastifyInstance, { portals }: ControlParts): void {
  const portalOf = (request: FastifyRequest<NamedPortal>): Portal => namedPortal(portals, request);

  app.get<NamedPortal>(at('/stats'), (request) => {
    const { stats, events } = portalOf(request);
    return stats.read(events.pending);
  });

  app.delete<NamedPortal>(at('/stats'), (request) => {
    portalOf(request).stats.reset();
    return { reset: true };
  });

  app.post<NamedPortal>(at('/faults'), (request, reply) => {
    const fault = parseControl(controlRequests.fault, textBody(request));
    portalOf(request).faults.order(fault);
    reply.code(201);
    return fault;
  });

  app.delete<NamedPortal>(at('/faults'), (request) => {
    portalOf(request).faults.clear();
    return { cleared: true };
  });

  app.post<NamedPortal>(at('/mass-update'), (request) => {
    const portal = portalOf(request);
    const { entityTypeId, count, fields } = parseControl(controlRequests.massUpdate, textBody(request));
    const page = portal.items(entityTypeId).page({ above: -Infinity, below: Infinity }, [], 0, count, false);
    for (const { id } of page.items) {
      portal.updateItem(entityTypeId, id, numbered(fields, id), { userId: ownerId });
    }
    return { updated: page.items.length };
  });

  app.get<ItemsRoute>(at('/items/:type'), (request) => {
    const store = portalOf(request).items(numberIn(request.params.type));
    const limit = numberIn(request.query.limit ?? String(usualLimit));
    const above = numberIn(request.query.after ?? '0');
    const { items } = store.page({ above, below: Infinity }, [], 0, limit, false);
    return { total: store.size, items: items.map((item) => showItem(store, item)) };
  });

  app.post<ItemsRoute>(at('/items/:type'), (request, reply) => {
    const portal = portalOf(request);
    const store = portal.items(numberIn(request.params.type));
    const { id, fields, count, by, silent } = parseControl(controlRequests.item, textBody(request));
    const cause: Cause = by === 'robot' ? 'robot' : { userId: ownerId };
    if (count !== undefined) {
      for (let made = 0; made < count; made += 1) addItem(portal, store.entityTypeId, fields, cause, silent);
      reply.code(201);
      return { added: count };
    }
    if (id === undefined) {
      reply.code(201);
      return showItem(store, addItem(portal, store.entityTypeId, fields, cause, silent));
    }
    return showItem(store, portal.updateItem(store.entityTypeId, id, fields, cause, silent));
  });

  app.get<ItemRoute>(at('/items/:type/:id'), (request) => {
    const portal = portalOf(request);
    const store = portal.items(numberIn(request.params.type));
    return showItem(store, portal.item(store.entityTypeId, numberIn(request.params.id)));
  });

  app.delete<ItemRoute>(at('/items/:type/:id'), (request) => {
    const { type, id } = request.params;
    portalOf(request).deleteItem(numberIn(type), numberIn(id), { userId: ownerId });
    return { deleted: true };
  });
}

function addItem(portal: Portal, entityTypeId: number, fields: Values, cause: Cause, silent: boolean) {
  const id = portal.items(entityTypeId).lastId + 1;
  return portal.addItem(entityTypeId, numbered(fields, id), cause, silent);
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

function numberIn(text: string): number {
  const value = integerOf(text);
  if (value === undefined) throw new ControlError('a number is wanted in the address', 400);
  return value;
}
