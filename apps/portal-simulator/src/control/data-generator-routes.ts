import type { FastifyInstance } from 'fastify';
import { OWNER_ID } from '../crm/actor.js';
import { generateItems } from '../data-generator/generate-items.js';
import { changeAtRandom } from '../data-generator/random-changes.js';
import { ControlError } from '../http/control-error.js';
import { textBody } from '../http/http.js';
import { controlRequests, parseControl } from './control-requests.js';
import { at, namedPortal, numberIn, type ControlParts, type NamedPortal } from './named-portal.js';

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
