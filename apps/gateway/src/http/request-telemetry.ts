import { context, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { counter, histogram } from '@relay/platform';
import type {
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  onRequestHookHandler,
  onResponseHookHandler,
} from 'fastify';

const tracer = trace.getTracer('@relay/gateway');

const received = counter({
  name: 'relay_gateway_received_total',
  help: 'Requests from Bitrix24, and from whoever claims to be it, by route; counted as they begin.',
  labelNames: ['route'],
});
/** Bitrix24 calls slow handlers less often (settings/performance/index.md): this metric shows it. */
const duration = histogram({
  name: 'http_server_request_duration_seconds',
  help: 'How long the gateway took for its answers.',
  labelNames: ['http_request_method', 'http_route', 'http_response_status_code'],
  // OpenTelemetry's advice for http.server.request.duration (docs/http/http-metrics.md).
  buckets: [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
});

/** Only the routes for Bitrix24: the paths that strangers request are unlimited in number. */
function isMeasured(route: string): boolean {
  return route.startsWith('/b24/');
}

/**
 * Hooks of the routes themselves: a request finds its route by building an object of all its options, each time it asks.
 * Call before the routes are registered.
 */
export function measureRequests(fastify: FastifyInstance): void {
  fastify.addHook('onRoute', (options) => {
    const { url: route } = options;
    if (!isMeasured(route)) return;
    const count: onRequestHookHandler = (_request, _reply, done) => {
      received.inc({ route });
      done();
    };
    const observe: onResponseHookHandler = (request, reply, done) => {
      const labels = {
        http_request_method: request.method,
        http_route: route,
        http_response_status_code: reply.statusCode,
      };
      duration.observe(labels, reply.elapsedTime / 1_000);
      done();
    };
    options.onRequest = [count, ...[options.onRequest ?? []].flat()];
    options.onResponse = [observe, ...[options.onResponse ?? []].flat()];
  });
}

/**
 * A span for each request of Bitrix24's routes, active during its processing. It is always the root of a trace: the
 * sender's `traceparent` is ignored, or strangers would decide what is recorded and where it belongs.
 * Call before the routes are registered.
 */
export function traceRequests(fastify: FastifyInstance): void {
  const spans = new WeakMap<FastifyRequest, Span>();
  fastify.addHook('onRequest', (request, reply, done) => {
    const route = request.routeOptions.url;
    if (route !== undefined && isMeasured(route)) spans.set(request, begin(request.method, route, reply));
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
