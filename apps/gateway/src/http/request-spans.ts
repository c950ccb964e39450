import { context, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { routeOf } from './request-metrics.js';

const tracer = trace.getTracer('@relay/gateway');

/**
 * A span for each request of Bitrix24's routes, active while it is worked on. Always the first of a trace: a
 * `traceparent` that the sender brings is not believed, or strangers would choose what is recorded and where it belongs.
 * Before the routes are made.
 */
export function traceRequests(fastify: FastifyInstance): void {
  const spans = new WeakMap<FastifyRequest, Span>();
  fastify.addHook('onRequest', (request, reply, done) => {
    const route = routeOf(request);
    if (route !== undefined) spans.set(request, begin(request.method, route, reply));
    done();
  });
  // Not before: between the two the body is read, on the socket's own events, which know no context.
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
  // Also of one that the sender gave up, which gets no answer.
  reply.raw.once('close', () => end(span, reply));
  return span;
}

function end(span: Span, { raw: { statusCode, writableFinished } }: FastifyReply): void {
  if (writableFinished) span.setAttribute('http.response.status_code', statusCode);
  else span.setAttribute('error.type', 'aborted');
  if (!writableFinished || statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}
