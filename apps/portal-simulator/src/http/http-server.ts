import { fastify, type FastifyError, type FastifyInstance, type FastifyRequest } from 'fastify';
import type { Log } from '@relay/platform';
import { RestError } from '../protocol/rest-error.js';
import { ControlError } from './control-error.js';

const BODY_LIMIT_BYTES = 32 * 1024 * 1024;

/** Takes any body as text, doubled and trailing slashes, and ends every connection when it is closed. */
export function createHttpServer(log: Log): FastifyInstance {
  const app = fastify({
    bodyLimit: BODY_LIMIT_BYTES,
    forceCloseConnections: true,
    routerOptions: { ignoreDuplicateSlashes: true, ignoreTrailingSlash: true },
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    done(null, body);
  });
  app.addHook('onRequest', async (request) => {
    if (isFromElsewhere(request)) throw new ControlError('another site may not control this simulator', 403);
  });
  app.setErrorHandler((error: FastifyError, request, reply) => {
    if (error instanceof ControlError) return reply.code(error.status).send({ error: error.message });
    if (error instanceof RestError) return reply.code(error.status).send(error.body);
    const status = error.statusCode ?? 500;
    if (status >= 500) log.error({ err: error, route: request.routeOptions.url }, 'a request failed');
    return reply.code(status).send({ error: 'INTERNAL_SERVER_ERROR', error_description: error.message });
  });
  return app;
}

/** A page of another site, in the browser of whoever runs this: the browser would send what it posts. */
function isFromElsewhere({ method, url, headers }: FastifyRequest): boolean {
  const site = headers['sec-fetch-site'];
  const isRead = method === 'GET' || method === 'HEAD';
  return !isRead && url.includes('/_sim') && site !== undefined && site !== 'same-origin' && site !== 'none';
}
