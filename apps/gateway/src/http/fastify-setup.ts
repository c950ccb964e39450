import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** An event has one to two kilobytes; a chat message with attachments can have tens. */
export const BODY_LIMIT_BYTES = 256 * 1024;

/** Fastify rejects some requests before routing, such as `/%zz`: its default response would echo the address. */
export function rejectMalformed(_error: unknown, _request: FastifyRequest, reply: FastifyReply): void {
  void reply.code(400).header('cache-control', 'no-store').send({ error: 'bad-request' });
}

/** Responses belong to one request, some to one portal, so they must not be cached. Call before the routes are registered. */
export function disableCaching(fastify: FastifyInstance): void {
  fastify.addHook('onRequest', (_request, reply, done) => {
    void reply.header('cache-control', 'no-store');
    done();
  });
}

/** What the page inside Bitrix24 sends has a few hundred bytes; a thousand types have eleven thousand. */
const JSON_LIMIT_BYTES = 16 * 1024;

/** A body of JSON, not parsed: a class of its own, so that no route takes it for a form. */
export class JsonBody {
  constructor(readonly text: string) {}
}

/**
 * Leaves form bodies as bytes, for our own decoder with PHP's semantics and limits, and JSON as its text. Fastify answers other
 * types with 415, and a body over the limit with 413 before it is read completely.
 */
export function keepBodiesUnparsed(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'buffer', bodyLimit: BODY_LIMIT_BYTES },
    (_request, body, done) => done(null, body),
  );
  fastify.addContentTypeParser(
    'application/json',
    { parseAs: 'string', bodyLimit: JSON_LIMIT_BYTES },
    (_request, body, done) => done(null, new JsonBody(String(body))),
  );
}
