import { fastify, type FastifyError, type FastifyInstance, type FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Log } from '@relay/platform';
import { argument, decodeForm, textOf, treeOf, type Values } from '../protocol/php.js';
import { RestError } from '../protocol/rest-error.js';

/** What the control interface answers when it cannot do what was asked. */
export class ControlError extends Error {
  override readonly name = 'ControlError';

  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

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

const json = z.json();

/** Parameters of a REST call: those of the query, overridden by those of the body. @throws RestError */
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

/** `http://localhost:8080`: where the caller reaches the simulator. */
export function baseUrlOf(request: FastifyRequest, publicUrl: string | undefined): string {
  return publicUrl ?? `http://${request.host}`;
}

/** The parameters under which a token comes, if not in a header (settings/how-to-call-rest-api/). */
const TOKEN_PARAMETERS = ['auth', 'access_token'];

/** Empty: there is none. `bearer`: of the header `Authorization`. */
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
  return treeOf(json.parse(parsed));
}
