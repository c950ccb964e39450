import { ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { silentLog, type Log } from './logger.js';
import { exportTraces, RedactingProcessor, throttledDiagnostics } from './export-traces.js';
import { contextOf, currentTraceparent, traced } from './tracing.js';

const servers: Server[] = [];

async function listen(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(answer);
  servers.push(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${z.object({ port: z.number() }).parse(server.address()).port}`;
}

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

function keptLog(): { log: Log; warnings: object[] } {
  const warnings: object[] = [];
  return { log: { ...silentLog, warn: (fields) => void warnings.push(fields) }, warnings };
}

const someTraceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

describe('traces without an endpoint', () => {
  it('are not started, and the app starts as without tracing', async () => {
    const running = { close: async () => undefined };
    const started = await traced(
      'gateway',
      { OTEL_EXPORTER_OTLP_ENDPOINT: undefined, LOG_LEVEL: 'info' },
      async () => running,
    );
    expect(started).toBe(running);
    await trace.getTracer('spec').startActiveSpan('work', async (span) => {
      expect(span.isRecording()).toBe(false);
      expect(trace.getActiveSpan()).toBeUndefined();
      expect(currentTraceparent()).toBeUndefined();
    });
    // An untraced consumer ignores the traceparent of a traced gateway.
    expect(contextOf(someTraceparent)).toBe(ROOT_CONTEXT);
  });
});

describe('exported traces', () => {
  it('go to the endpoint under the name of the app, the last ones at the end, and then no more', async () => {
    const bodies: { url: string | undefined; body: string }[] = [];
    const endpoint = await listen((request, response) => {
      void (async () => {
        bodies.push({ url: request.url, body: await text(request) });
        response.end('{}');
      })();
    });
    const stop = exportTraces('gateway', `${endpoint}/base`, silentLog);
    const written = trace.getTracer('spec').startActiveSpan('work', (span) => {
      const traceparent = currentTraceparent();
      span.end();
      return { traceparent, spanContext: span.spanContext() };
    });
    await stop();
    expect(bodies.map(({ url }) => url)).toEqual(['/base/v1/traces']);
    expect(bodies[0]?.body).toContain('"service.name","value":{"stringValue":"gateway"}');
    expect(bodies[0]?.body).toContain('"name":"work"');
    const { traceId, spanId } = written.spanContext;
    expect(written.traceparent).toBe(`00-${traceId}-${spanId}-01`);
    expect(trace.getTracer('spec').startSpan('late').isRecording()).toBe(false);
  });

  it('delay the end of a process by three seconds at most if the collector does not answer', async () => {
    const unanswered: ServerResponse[] = [];
    const endpoint = await listen((_request, response) => void unanswered.push(response));
    const stop = exportTraces('gateway', endpoint, silentLog);
    trace.getTracer('spec').startSpan('work').end();
    const beganAt = performance.now();
    await stop();
    const tookMs = performance.now() - beganAt;
    for (const response of unanswered) response.end('{}');
    expect(tookMs).toBeGreaterThan(2_000);
    // The exporter's own timeout is ten seconds.
    expect(tookMs).toBeLessThan(9_000);
  }, 20_000);

  it('fail with one warning without the password of an address', async () => {
    const endpoint = await listen((_request, response) => void response.writeHead(401).end('who are you'));
    const { log, warnings } = keptLog();
    const stop = exportTraces('gateway', endpoint.replace('//', '//user:s3cret@'), log);
    trace.getTracer('spec').startSpan('work').end();
    await stop();
    expect(warnings).not.toEqual([]);
    expect(JSON.stringify(warnings)).not.toContain('s3cret');
  });
});

describe('a span’s texts', () => {
  it('are redacted before they are exported', () => {
    const exporter = new InMemorySpanExporter();
    const provider = new BasicTracerProvider({
      spanProcessors: [new RedactingProcessor(), new SimpleSpanProcessor(exporter)],
    });
    const span = provider.getTracer('spec').startSpan('work');
    span.setAttributes({
      url: 'https://acme.bitrix24.com/rest/1/abcdefgh12345678/batch',
      count: 7,
      plain: 'as it is',
    });
    span.setStatus({ code: SpanStatusCode.ERROR, message: 'rejected: access_token=abcdef' });
    span.end();
    const [exported] = exporter.getFinishedSpans();
    expect(exported?.attributes).toMatchObject({ count: 7, plain: 'as it is' });
    expect(exported?.status.code).toBe(SpanStatusCode.ERROR);
    const all = JSON.stringify([exported?.attributes, exported?.status]);
    expect(all).toContain('[redacted]');
    expect(all).not.toMatch(/abcdef/);
  });
});

describe('the exporter’s diagnostics', () => {
  it('are logged once a minute each, without the values of headers', () => {
    const { log, warnings } = keptLog();
    let now = 0;
    const diagnostics = throttledDiagnostics(log, () => now);
    for (const _ of Array.from({ length: 10 })) diagnostics.error('connect ECONNREFUSED');
    diagnostics.warn('Header "x-api" has invalid value (s3cret\n) and will be ignored');
    now = 61_000;
    diagnostics.error('connect ECONNREFUSED');
    const event = 'traces.export.failed';
    expect(warnings).toEqual([
      { event, reason: 'connect ECONNREFUSED' },
      { event, reason: 'Header "x-api" has an invalid value and will be ignored' },
      { event, reason: 'connect ECONNREFUSED' },
    ]);
  });
});

describe('a traceparent', () => {
  it('restores the context of the span that wrote it', () => {
    const stop = exportTraces('gateway', 'http://127.0.0.1:9', silentLog);
    expect(trace.getSpanContext(contextOf(someTraceparent))).toMatchObject({
      traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
      spanId: '00f067aa0ba902b7',
      isRemote: true,
    });
    expect(trace.getSpanContext(contextOf('nonsense'))).toBeUndefined();
    return stop();
  });
});
