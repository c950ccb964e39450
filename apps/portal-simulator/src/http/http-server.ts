import { fastify, type FastifyError, type FastifyInstance, type FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Log } from '@relay/platform';
import { argument, decodeForm, textOf, treeOf, type Values } from '../protocol/php.js';
import { RestError } from '../protocol/rest-error.js';

/** An error of the control API: `{error}` with an HTTP status. */
export class ControlError extends Error {
  override readonly name = 'ControlError';

  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

const MAX_BODY_BYTES = 32 * 1024 * 1024;

/** Accepts any body as text, and doubled and trailing slashes; ends every connection on close. */
export function createHttpServer(log: Log): FastifyInstance {
  const app = fastify({
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: true,
    routerOptions: { ignoreDuplicateSlashes: true, ignoreTrailingSlash: true },
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    done(null, body);
  });
  app.addHook('onRequest', async (request) => {
    if (isCrossSite(request)) throw new ControlError('requests from pages of other sites are rejected', 403);
  });
  app.setErrorHandler((error: FastifyError, request, reply) => {
    if (error instanceof ControlError) return reply.code(error.status).send({ error: error.message });
    if (error instanceof RestError) return reply.code(error.status).send(error.body);
    const status = error.statusCode ?? 500;
    if (status >= 500) {
      const route = request.routeOptions.url;
      log.error({ event: 'simulator.request.failed', err: error, route }, 'a request failed');
    }
    return reply.code(status).send({ error: 'INTERNAL_SERVER_ERROR', error_description: error.message });
  });
  return app;
}

/** Whether a page of another site sent the request, in the browser of the person who runs the simulator (CSRF). */
function isCrossSite({ method, url, headers }: FastifyRequest): boolean {
  const site = headers['sec-fetch-site'];
  const isRead = method === 'GET' || method === 'HEAD';
  return !isRead && url.includes('/_sim') && site !== undefined && site !== 'same-origin' && site !== 'none';
}

const jsonValue = z.json();

/**
 * Parameters of a REST call: those of the query, overridden by those of the body. @throws RestError for a body that is
 * not JSON
 */
export function parametersOf(request: FastifyRequest): Values {
  const url = request.raw.url ?? '';
  const mark = url.indexOf('?');
  const query = mark < 0 ? {} : decodeForm(url.slice(mark + 1));
  const body = textBody(request);
  if (body === '') return query;
  const contentType = request.headers['content-type'] ?? '';
  return { ...query, ...(contentType.includes('json') ? decodeJson(body) : decodeForm(body)) };
}

export function textBody({ body }: FastifyRequest): string {
  return typeof body === 'string' ? body.trim() : '';
}

export function bearerOf({ headers }: FastifyRequest): string | undefined {
  return /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
}

/** The base URL by which the caller reached the simulator: `http://localhost:8080`. */
export function baseUrlOf(request: FastifyRequest, publicUrl: string | undefined): string {
  return publicUrl ?? `http://${request.host}`;
}

/** Parameters that carry a token, if the header does not (settings/how-to-call-rest-api/). */
const TOKEN_PARAMETERS = ['auth', 'access_token'];

/** An empty text if there is none. `bearer`: the token of the header `Authorization`. */
export function accessTokenOf(params: Values, bearer: string | undefined): string {
  const [given] = TOKEN_PARAMETERS.flatMap((name) => textOf(argument(params, name)) ?? []);
  return bearer ?? given ?? '';
}

export function withoutTokens(params: Values): Values {
  const rest = Object.entries(params).filter(([name]) => !TOKEN_PARAMETERS.includes(name.toLowerCase()));
  return Object.fromEntries(rest);
}

function decodeJson(body: string): Values {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch (cause) {
    throw Object.assign(new RestError('INVALID_REQUEST', 'The body is not JSON', 401), { cause });
  }
  return treeOf(jsonValue.parse(parsed));
}
