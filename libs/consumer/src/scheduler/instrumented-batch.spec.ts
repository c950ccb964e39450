import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { register } from 'prom-client';
import type { FailedEntry, PostponedEntry } from './batch.js';
import { instrument } from './instrumented-batch.js';

class OddError extends Error {
  override readonly name = 'OddError';
  readonly code = 'ANY_CODE_OF_A_PORTAL';
}

const entry = (events: number) => ({ receipts: Array.from({ length: events }) });

async function shown(consumer: string): Promise<string[]> {
  const text = await register.metrics();
  return text
    .split('\n')
    .filter((line) => line.includes(`"${consumer}"`) && !line.includes('_bucket{'))
    .filter((line) => !/duration_seconds_sum/.test(line));
}

describe('the metrics of batches', () => {
  it('record their size, and how many events were merged', async () => {
    const batch = { consumer: 'sizes', memberId: 'm1', entries: [entry(1), entry(5)] };
    await expect(instrument(batch, async () => [])).resolves.toEqual([]);
    expect(await shown('sizes')).toEqual([
      'messaging_process_duration_seconds_count{messaging_operation_name="process",messaging_consumer_group_name="sizes"} 1',
      'relay_bus_batch_entries_sum{consumer="sizes"} 2',
      'relay_bus_batch_entries_count{consumer="sizes"} 1',
      'relay_bus_merged_total{consumer="sizes"} 4',
    ]);
  });

  it('record the error type of a full or partial failure, and neither code nor portal', async () => {
    const batch = { consumer: 'failures', memberId: 'm1', entries: [entry(1)] };
    const error = new OddError();
    await expect(instrument(batch, () => Promise.reject(error))).rejects.toBe(error);
    await instrument(batch, async () => [{ entity: 'CRMCONTACT:1', error }]);
    await instrument(batch, async () => [{ entity: 'CRMCONTACT:1', error: 'a text' }]);
    const durations = (await shown('failures')).filter((line) => line.startsWith('messaging_process'));
    expect(durations).toEqual([
      expect.stringMatching(/error_type="OddError"\} 2$/),
      expect.stringMatching(/error_type="_OTHER"\} 1$/),
    ]);
    expect(await register.metrics()).not.toMatch(/"m1"|ANY_CODE/);
  });
});

const inBatchSpan = (
  traceparents: readonly string[],
  handle: () => Promise<readonly (FailedEntry | PostponedEntry)[]> = async () => [],
): Promise<readonly (FailedEntry | PostponedEntry)[]> =>
  instrument({ consumer: 'one', memberId: 'm1', entries: [{ receipts: [1], traceparents }] }, handle);

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

  async function sourceOf(...sources: ('offline' | undefined)[]): Promise<unknown> {
    exporter.reset();
    const entries = sources.map((source) => ({ receipts: [1], ...(source && { source }) }));
    await instrument({ consumer: 'one', memberId: 'm1', entries }, async () => []);
    return theSpan().attributes['relay.source'];
  }

  it('make a batch the child of its first event and link it to the others, each once', async () => {
    const traceparents = [1, 2, 2, 3, 1].map((n) => traceparent(n));
    await inBatchSpan(traceparents);
    const span = theSpan();
    expect(span).toMatchObject({ name: 'process b24.one', kind: SpanKind.CONSUMER });
    expect(span.spanContext().traceId).toBe(traceId(1));
    expect(span.links.map((link) => link.context.traceId)).toEqual([traceId(2), traceId(3)]);
  });

  it('record a batch when any of its events is recorded, not only when the first is', async () => {
    const traceparents = [traceparent(1, false), traceparent(2), traceparent(3, false)];
    await inBatchSpan(traceparents);
    expect(theSpan().spanContext().traceId).toBe(traceId(2));
    exporter.reset();
    await inBatchSpan([traceparent(1, false)]);
    expect(exporter.getFinishedSpans()).toEqual([]);
  });

  it('have 128 links at most, however many events the batch has', async () => {
    const traceparents = Array.from({ length: 2_500 }, (_, n) => traceparent(n + 1));
    await inBatchSpan(traceparents);
    expect(theSpan().links).toHaveLength(128);
  });

  it('name the source of a batch whose events all have it', async () => {
    expect(await sourceOf('offline', 'offline')).toBe('offline');
    expect(await sourceOf('offline', undefined)).toBeUndefined();
    expect(await sourceOf(undefined)).toBeUndefined();
  });

  it('begin a trace for events without one or with an invalid one', async () => {
    await inBatchSpan([]);
    await inBatchSpan(['00-nonsense']);
    expect(exporter.getFinishedSpans().map(({ parentSpanContext }) => parentSpanContext)).toEqual([
      undefined,
      undefined,
    ]);
  });

  it('record a full or partial failure of a batch, and never a secret or a stack', async () => {
    const error = new Error('rejected: access_token=abcdef0123456789');
    const failing = inBatchSpan([], () => Promise.reject(error));
    await expect(failing).rejects.toBe(error);
    await inBatchSpan([], async () => [{ entity: 'CRMCONTACT:1', error }]);
    for (const { status, attributes, events } of exporter.getFinishedSpans()) {
      expect(status.code).toBe(SpanStatusCode.ERROR);
      expect(JSON.stringify([status, attributes])).not.toContain('abcdef');
      expect(events).toEqual([]);
    }
    expect(exporter.getFinishedSpans()).toHaveLength(2);
  });
});
