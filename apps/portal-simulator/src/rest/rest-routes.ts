import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { sendNetworkFault, sendRedirect } from '../faults/faults.js';
import type { RestResponse } from '../http/response.js';
import { accessTokenOf, baseUrlOf, bearerOf, parametersOf } from '../http/http-server.js';
import type { Tokens } from '../oauth/tokens.js';
import { Latency } from '../limits/latency.js';
import type { OAuthServer } from '../oauth/oauth-server.js';
import type { Portal } from '../portal/portal.js';
import type { Portals } from '../portal/portals.js';
import { SYSTEM_ERRORS } from '../protocol/rest-error.js';
import { RequestClock, timeOf, type RestRequest } from './request.js';
import type { RestService } from './rest-service.js';

interface RestRoute {
  Params: { name?: string; method: string; user?: string; secret?: string };
}

interface RestDependencies {
  portals: Portals;
  tokens: Tokens;
  rest: RestService;
  oauth: OAuthServer;
  publicUrl: string | undefined;
}

/** Pages of applications call REST, too: the headers that the `rest` module sends. */
const CROSS_ORIGIN = {
  'access-control-allow-origin': '*',
  'access-control-allow-headers': 'origin, content-type, accept',
};

/** Routes of REST, by token or incoming webhook, and of the OAuth server. */
export function addRestRoutes(
  app: FastifyInstance,
  { portals, tokens, rest, oauth, publicUrl }: RestDependencies,
): void {
  const oauthLatency = new Latency({ latencyMs: 0 });

  /** An application in a frame knows the portal by its host alone, and all portals of the simulator share one. */
  const portalNameOf = (request: FastifyRequest): string => {
    const token = accessTokenOf(parametersOf(request), bearerOf(request));
    if (token === '') throw SYSTEM_ERRORS.noAuth;
    const access = tokens.find(token);
    if (!access) throw SYSTEM_ERRORS.unknownToken;
    return access.installation.portal.identity.name;
  };

  const handleRest = async (request: FastifyRequest<RestRoute>, reply: FastifyReply): Promise<void> => {
    void reply.headers(CROSS_ORIGIN);
    if (request.method === 'OPTIONS') {
      await reply.code(200).send();
      return;
    }
    const { name = portalNameOf(request), method, user, secret } = request.params;
    const portal = portals.find(name);
    if (!portal) {
      await handleUnknownPortal(request, reply, portals.findMoved(name));
      return;
    }
    const version = request.routeOptions.url?.includes('/rest/api/') === true ? 3 : 2;
    const call: RestRequest = {
      version,
      method,
      params: parametersOf(request),
      bearer: bearerOf(request),
      callerAddress: request.ip,
    };
    if (user !== undefined && secret !== undefined) call.webhook = { userId: user, secret };
    await send(request, reply, rest.handle(portal, call), portal.latency);
  };

  const handleUnknownPortal = async (
    request: FastifyRequest<RestRoute>,
    reply: FastifyReply,
    moved: Portal | undefined,
  ): Promise<void> => {
    if (!moved) {
      await reply.code(404).send({ error: 'PORTAL_NOT_FOUND', error_description: 'There is no such portal' });
      return;
    }
    const path = request.url.replace(/^\/+portals\/+[^/]+/, `/portals/${moved.identity.name}`);
    await sendRedirect(reply, baseUrlOf(request, publicUrl) + path);
  };

  const send = async (
    request: FastifyRequest,
    reply: FastifyReply,
    { status, body, fault, takesMs = 0 }: RestResponse,
    latency = oauthLatency,
  ): Promise<void> => {
    await latency.delay(takesMs + (fault?.ms ?? 0));
    reply.code(status);
    const redirectTo = `${baseUrlOf(request, publicUrl)}/moved/`;
    if (fault) await sendNetworkFault(request, reply, fault, { body, redirectTo });
    else await reply.send(body);
  };

  const method = ['GET', 'POST', 'OPTIONS'];
  const webhook = '/:user/:secret';
  for (const under of ['/rest', '/portals/:name/rest', `/portals/:name/rest${webhook}`]) {
    app.route<RestRoute>({ method, url: `${under}/:method`, handler: handleRest });
  }
  for (const under of ['/rest/api', '/portals/:name/rest/api', `/portals/:name/rest/api${webhook}`]) {
    app.route<RestRoute>({ method, url: `${under}/:method`, handler: handleRest });
  }
  app.route({
    method: ['GET', 'POST'],
    url: '/oauth/token',
    handler: (request, reply) =>
      send(request, reply, oauth.refresh(parametersOf(request), baseUrlOf(request, publicUrl))),
  });
  app.route({
    method,
    url: '/rest/app.info',
    // The portal's own method as well: a page in a frame asks for it at the host that is both.
    handler: async (request, reply) => {
      void reply.headers(CROSS_ORIGIN);
      if (request.method === 'OPTIONS') {
        await reply.code(200).send();
        return;
      }
      const clock = new RequestClock(Date.now());
      const answer = oauth.applicationInfo(parametersOf(request), bearerOf(request));
      if (answer.status === 200) answer.body = { ...answer.body, time: timeOf(clock, clock.arrivedMs) };
      await send(request, reply, answer);
    },
  });
}
