import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** An event is one to two kilobytes; a chat message with attachments can have tens. */
export const BODY_LIMIT_BYTES = 256 * 1024;

/** What Fastify refuses before it looks for a route, such as `/%zz`: its own answer would echo the address. */
export function refuseMalformed(_error: unknown, _request: FastifyRequest, reply: FastifyReply): void {
  void reply.code(400).header('cache-control', 'no-store').send({ error: 'bad-request' });
}

/** What is answered is about one request, and some of it about one portal. Before the routes are made. */
export function keepOutOfCaches(fastify: FastifyInstance): void {
  fastify.addHook('onRequest', (_request, reply, done) => {
    void reply.header('cache-control', 'no-store');
    done();
  });
}

/**
 * Leaves form bodies as bytes, for our own decoder has PHP's semantics and the limits; everything else is not a form
 * and gets 415 from Fastify, a body over the limit 413 before it is read to its end.
 */
export function takeFormBodies(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'buffer', bodyLimit: BODY_LIMIT_BYTES },
    (_request, body, done) => done(null, body),
  );
}
