import { setTimeout as wait } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { baseUrlOf, parametersOf, restErrorBody, sendFault } from './http.js';
import type { OAuth } from './oauth.js';
import type { Portal } from './portal.js';
import type { Portals } from './portals.js';
import { RestError } from './rest/rest-error.js';
import type { RestRequest, RestService } from './rest/rest-service.js';

interface RestRoute {
  Params: { name: string; method: string; user?: string; secret?: string };
}

export interface RestParts {
  portals: Portals;
  rest: RestService;
  oauth: OAuth;
  publicUrl: string | undefined;
}

/** REST of every portal, with a token or by incoming webhook, and the OAuth server. */
export function addRestRoutes(app: FastifyInstance, { portals, rest, oauth, publicUrl }: RestParts): void {
  const answerRest = async (request: FastifyRequest<RestRoute>, reply: FastifyReply): Promise<void> => {
    const { name, method, user, secret } = request.params;
    const portal = portals.find(name);
    if (!portal) {
      await answerElsewhere(request, reply, portals.findMoved(name));
      return;
    }
    const call: RestRequest = { method, params: parametersOf(request), callerAddress: request.ip };
    if (user !== undefined && secret !== undefined) call.webhook = { userId: user, secret };
    await answerWith(request, reply, portal.settings.latencyMs, () => rest.answer(portal, call));
  };

  const answerElsewhere = async (
    request: FastifyRequest<RestRoute>,
    reply: FastifyReply,
    moved: Portal | undefined,
  ): Promise<void> => {
    if (!moved) {
      await reply.code(404).send({ error: 'PORTAL_NOT_FOUND', error_description: 'There is no such portal' });
      return;
    }
    const path = request.url.replace(/^\/+portals\/+[^/]+/, `/portals/${moved.identity.name}`);
    await reply.redirect(baseUrlOf(request, publicUrl) + path, 302);
  };

  const answerWith = async (
    request: FastifyRequest,
    reply: FastifyReply,
    latencyMs: number,
    answer: () => ReturnType<RestService['answer']>,
  ): Promise<void> => {
    try {
      const { body, fault } = answer();
      if (latencyMs > 0) await wait(latencyMs);
      if (fault) await sendFault(request, reply, fault, `${baseUrlOf(request, publicUrl)}/moved/`);
      else await reply.send(body);
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
      await reply.code(error.status).send(restErrorBody(error));
    }
  };

  const method = ['GET', 'POST'];
  app.route<RestRoute>({ method, url: '/portals/:name/rest/:method', handler: answerRest });
  app.route<RestRoute>({ method, url: '/portals/:name/rest/:user/:secret/:method', handler: answerRest });
  app.route({
    method,
    url: '/oauth/token',
    handler: (request, reply) =>
      answerWith(request, reply, 0, () =>
        oauth.exchange(parametersOf(request), baseUrlOf(request, publicUrl)),
      ),
  });
  app.route({
    method,
    url: '/rest/app.info',
    handler: (request, reply) =>
      answerWith(request, reply, 0, () => ({ body: oauth.applicationInfo(parametersOf(request)) })),
  });
}
