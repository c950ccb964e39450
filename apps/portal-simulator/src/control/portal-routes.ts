import type { FastifyInstance, FastifyRequest } from 'fastify';
import { OWNER_ID } from '../crm/users.js';
import { ALL_SETTINGS } from '../fields/standard-sets.js';
import { baseUrlOf, ControlError, textBody } from '../http/http-server.js';
import { clientEndpoint, newToken } from '../oauth/installation.js';
import type { Portal } from '../portal/portal.js';
import {
  portalPath,
  controlRequests,
  namedPortal,
  parseControl,
  type ControlDependencies,
  type PortalRoute,
} from './control-requests.js';
import { addFields } from './type-routes.js';

/** Routes that create, show, change, rename, suspend and remove portals, add outgoing webhooks and emit any event. */
export function addPortalRoutes(app: FastifyInstance, { portals, publicUrl }: ControlDependencies): void {
  const show = (request: FastifyRequest, portal: Portal) => showPortal(portal, baseUrlOf(request, publicUrl));

  app.get('/_sim/portals', (request) => portals.all().map((portal) => show(request, portal)));

  app.post('/_sim/portals', (request, reply) => {
    const { name, memberId, domain, webhook, types, ...settings } = parseControl(
      controlRequests.portal,
      textBody(request),
    );
    const portal = portals.add({ name, memberId, domain, webhook, settings });
    if (!portal) throw new ControlError(`the portal ${name} exists already`, 409);
    for (const { entityTypeId, fields, ...properties } of types) {
      const type = portal.crm.addType(entityTypeId, { ...ALL_SETTINGS, ...properties }, { userId: OWNER_ID });
      addFields(portal.crm, type.entityTypeId, fields);
    }
    reply.code(201);
    return show(request, portal);
  });

  app.get<PortalRoute>(portalPath(''), (request) => show(request, namedPortal(portals, request)));

  app.patch<PortalRoute>(portalPath(''), (request) => {
    const portal = namedPortal(portals, request);
    portal.changeSettings(parseControl(controlRequests.settings, textBody(request)));
    return show(request, portal);
  });

  app.delete<PortalRoute>(portalPath(''), (request) => {
    portals.remove(namedPortal(portals, request));
    return { removed: true };
  });

  app.post<PortalRoute>(portalPath('/rename'), (request) => {
    const portal = namedPortal(portals, request);
    const { to } = parseControl(controlRequests.rename, textBody(request));
    if (!portals.rename(portal, to)) throw new ControlError(`the portal ${to} exists already`, 409);
    return show(request, portal);
  });

  app.post<PortalRoute>(portalPath('/suspend'), (request) => {
    const portal = namedPortal(portals, request);
    portal.suspension = parseControl(controlRequests.suspend, textBody(request)).reason;
    return show(request, portal);
  });

  app.post<PortalRoute>(portalPath('/events'), (request) => {
    const portal = namedPortal(portals, request);
    const { event, data, by } = parseControl(controlRequests.events, textBody(request));
    return { queued: portal.emit(event.toUpperCase(), data, by === 'robot' ? by : { userId: OWNER_ID }) };
  });

  app.get<PortalRoute>(portalPath('/offline'), (request) => {
    const { offline } = namedPortal(portals, request);
    return { handlers: offline.handlers(), records: offline.all() };
  });

  app.get<PortalRoute>(portalPath('/notifications'), (request) =>
    namedPortal(portals, request).recorder.notifications.all(),
  );

  app.get<PortalRoute>(portalPath('/writes'), (request) =>
    namedPortal(portals, request).recorder.writes.all(),
  );

  app.get<PortalRoute>(portalPath('/tasks'), (request) => namedPortal(portals, request).recorder.tasks.all());

  app.post<PortalRoute>(portalPath('/handlers'), (request, reply) => {
    const { handlers, offline, installation, identity } = namedPortal(portals, request);
    const { event, url } = parseControl(controlRequests.handler, textBody(request));
    if (!installation) throw new ControlError(`the application is not installed at ${identity.name}`, 409);
    const name = event.toUpperCase();
    reply.code(201);
    return {
      bound: url
        ? handlers.bind(name, url, { kind: 'application', installation, authType: 0 }) !== undefined
        : offline.bind({ event: name, userId: OWNER_ID, connector: '' }),
    };
  });

  app.delete<PortalRoute>(portalPath('/handlers'), (request) => {
    const { handlers, offline } = namedPortal(portals, request);
    const online = handlers.remove(({ owner }) => owner.kind === 'application');
    return { removed: online + offline.unbindAll() };
  });

  app.post<PortalRoute>(portalPath('/outgoing-webhooks'), (request, reply) => {
    const { handlers } = namedPortal(portals, request);
    const { event, url } = parseControl(controlRequests.outgoingWebhook, textBody(request));
    const applicationToken = newToken();
    const baseUrl = baseUrlOf(request, publicUrl);
    const owner = { kind: 'outgoing-webhook', applicationToken, baseUrl } as const;
    const handler = handlers.bind(event.toUpperCase(), url, owner);
    reply.code(201);
    return { event_handler_id: handler?.id, application_token: applicationToken };
  });
}

/** Routes for counters and fault injection. */
export function addStatsAndFaultRoutes(app: FastifyInstance, { portals }: ControlDependencies): void {
  app.get<PortalRoute>(portalPath('/stats'), (request) => {
    const { stats, events } = namedPortal(portals, request);
    return stats.read(events.pending);
  });

  app.delete<PortalRoute>(portalPath('/stats'), (request) => {
    namedPortal(portals, request).stats.reset();
    return { reset: true };
  });

  app.post<PortalRoute>(portalPath('/faults'), (request, reply) => {
    const fault = parseControl(controlRequests.fault, textBody(request));
    const { worked: executed, ...rule } = fault;
    namedPortal(portals, request).faults.add({ ...rule, executed });
    reply.code(201);
    return fault;
  });

  app.delete<PortalRoute>(portalPath('/faults'), (request) => {
    namedPortal(portals, request).faults.clear();
    return { cleared: true };
  });
}

export function showPortal(portal: Portal, baseUrl: string) {
  const { name, memberId, domain } = portal.identity;
  const endpoint = clientEndpoint(baseUrl, name);
  return {
    name,
    member_id: memberId,
    domain,
    client_endpoint: endpoint,
    webhooks: [...portal.webhooks].map(([secret, userId]) => `${endpoint}${userId}/${secret}/`),
    installed: portal.installation !== undefined,
    suspended: portal.suspension,
    handlers: portal.handlers
      .all()
      .map(({ id, event, url, owner }) => ({ id, event, url, kind: owner.kind })),
    settings: portal.settings,
  };
}
