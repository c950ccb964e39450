import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { inBatchSpan } from './batch-span.js';

const batch = { consumer: 'one', memberId: 'm1', entries: 1, events: 1 };
const nothingFailed = (): undefined => undefined;

/** The n-th of many traces. */
const traceparent = (n: number, isRecorded = true): string =>
  `00-${String(n).padStart(32, 'a')}-${String(n).padStart(16, 'b')}-0${isRecorded ? 1 : 0}`;
const traceId = (n: number): string => String(n).padStart(32, 'a');

describe('spans of batches', () => {
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

  it('make a batch the child of its first event and link it to the others, each once', async () => {
    const traceparents = [1, 2, 2, 3, 1].map((n) => traceparent(n));
    await inBatchSpan({ ...batch, traceparents }, async () => [], nothingFailed);
    const span = theSpan();
    expect(span).toMatchObject({ name: 'process b24.one', kind: SpanKind.CONSUMER });
    expect(span.spanContext().traceId).toBe(traceId(1));
    expect(span.links.map((link) => link.context.traceId)).toEqual([traceId(2), traceId(3)]);
  });

  it('record a batch when any of its events is recorded, not only when the first is', async () => {
    const traceparents = [traceparent(1, false), traceparent(2), traceparent(3, false)];
    await inBatchSpan({ ...batch, traceparents }, async () => [], nothingFailed);
    expect(theSpan().spanContext().traceId).toBe(traceId(2));
    exporter.reset();
    await inBatchSpan({ ...batch, traceparents: [traceparent(1, false)] }, async () => [], nothingFailed);
    expect(exporter.getFinishedSpans()).toEqual([]);
  });

  it('have 128 links at most, however many events the batch has', async () => {
    const traceparents = Array.from({ length: 2_500 }, (_, n) => traceparent(n + 1));
    await inBatchSpan({ ...batch, traceparents }, async () => [], nothingFailed);
    expect(theSpan().links).toHaveLength(128);
  });

  it('begin a trace for events without one or with an invalid one', async () => {
    await inBatchSpan({ ...batch, traceparents: [] }, async () => [], nothingFailed);
    await inBatchSpan({ ...batch, traceparents: ['00-nonsense'] }, async () => [], nothingFailed);
    expect(exporter.getFinishedSpans().map(({ parentSpanContext }) => parentSpanContext)).toEqual([
      undefined,
      undefined,
    ]);
  });

  it('record a full or partial failure of a batch, and never a secret or a stack', async () => {
    const error = new Error('refused: access_token=abcdef0123456789');
    const failing = inBatchSpan({ ...batch, traceparents: [] }, () => Promise.reject(error), nothingFailed);
    await expect(failing).rejects.toBe(error);
    await inBatchSpan(
      { ...batch, traceparents: [] },
      async () => [{ error }],
      ([first]) => first,
    );
    for (const { status, attributes, events } of exporter.getFinishedSpans()) {
      expect(status.code).toBe(SpanStatusCode.ERROR);
      expect(JSON.stringify([status, attributes])).not.toContain('abcdef');
      expect(events).toEqual([]);
    }
    expect(exporter.getFinishedSpans()).toHaveLength(2);
  });
});
