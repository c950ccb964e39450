import { context, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { routeOf } from './request-metrics.js';

const tracer = trace.getTracer('@relay/gateway');

/**
 * A span for each request of Bitrix24's routes, active during its processing. It is always the root of a trace: the
 * sender's `traceparent` is ignored, or strangers would decide what is recorded and where it belongs.
 * Call before the routes are registered.
 */
export function traceRequests(fastify: FastifyInstance): void {
  const spans = new WeakMap<FastifyRequest, Span>();
  fastify.addHook('onRequest', (request, reply, done) => {
    const route = routeOf(request);
    if (route !== undefined) spans.set(request, begin(request.method, route, reply));
    done();
  });
  // Not earlier: the body is read in between, in socket events, which have no context.
  fastify.addHook('preValidation', (request, _reply, done) => {
    const span = spans.get(request);
    if (span) context.with(trace.setSpan(ROOT_CONTEXT, span), done);
    else done();
  });
}

function begin(method: string, route: string, reply: FastifyReply): Span {
  const span = tracer.startSpan(
    `${method} ${route}`,
    { kind: SpanKind.SERVER, attributes: { 'http.request.method': method, 'http.route': route } },
    ROOT_CONTEXT,
  );
  // Also for a request that the sender aborted, which gets no response.
  reply.raw.once('close', () => end(span, reply));
  return span;
}

function end(span: Span, { raw: { statusCode, writableFinished } }: FastifyReply): void {
  if (writableFinished) span.setAttribute('http.response.status_code', statusCode);
  else span.setAttribute('error.type', 'aborted');
  if (!writableFinished || statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}
