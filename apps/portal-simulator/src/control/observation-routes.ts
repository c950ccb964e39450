import type { FastifyInstance } from 'fastify';
import { textBody } from '../http/http.js';
import { controlRequests, parseControl } from './control-requests.js';
import { at, namedPortal, type ControlParts, type NamedPortal } from './named-portal.js';

/** Counts and faults: what a test sees and orders as nobody else could. */
export function addObservationRoutes(app: FastifyInstance, { portals }: ControlParts): void {
  app.get<NamedPortal>(at('/stats'), (request) => {
    const { stats, events } = namedPortal(portals, request);
    return stats.read(events.pending);
  });

  app.delete<NamedPortal>(at('/stats'), (request) => {
    namedPortal(portals, request).stats.reset();
    return { reset: true };
  });

  app.post<NamedPortal>(at('/faults'), (request, reply) => {
    const fault = parseControl(controlRequests.fault, textBody(request));
    namedPortal(portals, request).faults.order(fault);
    reply.code(201);
    return fault;
  });

  app.delete<NamedPortal>(at('/faults'), (request) => {
    namedPortal(portals, request).faults.clear();
    return { cleared: true };
  });
}
