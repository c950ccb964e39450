import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { PortalEvent } from '@relay/events';
import { anEvent } from '../../../../test/support/an-event.js';
import { BusUnavailableError } from './event-bus.js';
import { instrumentPublish, withCurrentTrace } from './instrumentation.js';

/** The n-th of many traces. */
const traceparent = (n: number): string =>
  `00-${String(n).padStart(32, 'a')}-${String(n).padStart(16, 'b')}-01`;

async function publish(event: PortalEvent): Promise<PortalEvent> {
  let published = event;
  await instrumentPublish('rabbitmq', event, async (traced) => {
    published = traced;
  });
  return published;
}

// First, because a tracer that has seen an SDK keeps using it.
describe('without an SDK', () => {
  it('passes an event through as the same object, with its trace if it has one', async () => {
    for (const event of [anEvent(), anEvent({ traceparent: traceparent(1) })]) {
      expect(await publish(event)).toBe(event);
      expect(withCurrentTrace(event)).toBe(event);
    }
  });
});

describe('spans of publishes', () => {
  const exporter = new InMemorySpanExporter();

  beforeAll(() => {
    trace.setGlobalTracerProvider(
      new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
    );
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  });
  afterEach(() => exporter.reset());

  /** The only span that ended. */
  function theSpan() {
    const [span, ...more] = exporter.getFinishedSpans();
    expect(more).toEqual([]);
    if (!span) throw new Error('no span');
    return span;
  }

  it('pass the publish span on as the parent for the consumers, and change nothing else of the event', async () => {
    const event = anEvent();
    const published = await publish(event);
    const span = theSpan();
    const { traceId: id, spanId } = span.spanContext();
    expect(published).toEqual({ ...event, traceparent: `00-${id}-${spanId}-01` });
    expect(span).toMatchObject({ name: 'publish b24.events', kind: SpanKind.PRODUCER });
  });

  it('continue the active trace, whatever trace the event has', async () => {
    await trace.getTracer('spec').startActiveSpan('request', async (request) => {
      await publish(anEvent({ traceparent: traceparent(1) }));
      request.end();
    });
    const [published, request] = exporter.getFinishedSpans();
    expect(published?.parentSpanContext?.spanId).toBe(request?.spanContext().spanId);
  });

  it('continue the trace of an event from the journal', async () => {
    const kept = await trace
      .getTracer('spec')
      .startActiveSpan('request', async () => withCurrentTrace(anEvent()));
    await publish(kept);
    expect(theSpan().parentSpanContext?.traceId).toBe(kept.traceparent?.slice(3, 35));
  });

  it('record why a publish was rejected', async () => {
    const rejection = new BusUnavailableError('BUS_DOWN');
    await expect(instrumentPublish('rabbitmq', anEvent(), () => Promise.reject(rejection))).rejects.toBe(
      rejection,
    );
    expect(theSpan().status.code).toBe(SpanStatusCode.ERROR);
    expect(theSpan().attributes['error.type']).toBe('BUS_DOWN');
  });

  it('never hold a secret or a stack', async () => {
    const error = new Error('rejected: access_token=abcdef0123456789');
    await expect(instrumentPublish('rabbitmq', anEvent(), () => Promise.reject(error))).rejects.toBe(error);
    const { status, attributes, events } = theSpan();
    expect(JSON.stringify([status, attributes])).not.toContain('abcdef');
    expect(events).toEqual([]);
  });
});
