import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { argument, decodeForm, textOf, treeOf, type Values } from '../protocol/php.js';
import { RestError } from '../protocol/rest-error.js';

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
