import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { WireFault } from './faults.js';
import { decodeForm, treeOf, type Values } from './php.js';
import { RestError } from './rest/rest-error.js';

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

/** `http://localhost:8080`: where the caller reaches the simulator. */
export function baseUrlOf(request: FastifyRequest, publicUrl: string | undefined): string {
  return publicUrl ?? `http://${request.host}`;
}

/** What a fault makes of an answer. */
export async function sendFault(
  request: FastifyRequest,
  reply: FastifyReply,
  fault: WireFault,
  elsewhere: string,
): Promise<void> {
  switch (fault) {
    case 'html':
      await reply.code(502).type('text/html').send('<html><body><h1>502 Bad Gateway</h1></body></html>');
      return;
    case 'empty':
      await reply.code(200).send('');
      return;
    case 'redirect':
      await reply.redirect(elsewhere, 302);
      return;
    case 'hang':
      reply.hijack();
      return;
    case 'cut':
      reply.hijack();
      reply.raw.writeHead(200, {
        'content-type': 'application/json; charset=utf-8',
        'content-length': '4096',
      });
      reply.raw.write('{"result":{"items":[{"id":1,"na', () => {
        request.raw.socket.destroy();
      });
      return;
    case 'drop':
    case 'lost':
      reply.hijack();
      request.raw.socket.destroy();
  }
}

/** Every REST error as Bitrix24 shapes it. */
export function restErrorBody({ code, description }: RestError): Values {
  return { error: code, error_description: description };
}

function decodeJson(body: string): Values {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch (cause) {
    throw Object.assign(new RestError('INVALID_REQUEST', 'The body is not JSON'), { cause });
  }
  return treeOf(json.parse(parsed));
}
