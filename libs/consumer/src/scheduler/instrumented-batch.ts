import {
  type Attributes,
  type Context,
  type SpanContext,
  SpanKind,
  type SpanOptions,
  trace,
  TraceFlags,
} from '@opentelemetry/api';
import { failSpan, type PortalEvent } from '@relay/bus';
import { contextOf, counter, histogram } from '@relay/platform';
import type { FailedEntry, PostponedEntry } from './batch.js';

/** As `messaging.process.duration` advises, in seconds. */
const ADVISED_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

const processSeconds = histogram({
  name: 'messaging_process_duration_seconds',
  help: 'How long a handler took for one batch; error_type when the batch, or entries of it, failed',
  labelNames: ['messaging_operation_name', 'messaging_consumer_group_name', 'error_type'],
  // A batch may wait a minute for a Bitrix24 response, and more than once.
  buckets: [...ADVISED_BUCKETS, 30, 60, 300],
});

const batchEntries = histogram({
  name: 'relay_bus_batch_entries',
  help: 'Entries of one batch given to a handler',
  labelNames: ['consumer'],
  buckets: [1, 2, 5, 10, 50, 250, 1000, 2500],
});

const mergedTotal = counter({
  name: 'relay_bus_merged_total',
  help: 'Events that needed no entry of their own in a batch, for another one of the same entity waited already',
  labelNames: ['consumer'],
});

const tracer = trace.getTracer('@relay/consumer');

/** The limit of the SDK, and far more than anybody reads. */
const MAX_LINKS = 128;
/** Enough to recognize a batch by. */
const MAX_ENTITIES = 5;

/** A batch as lanes produce it, without the fields that are not measured. */
export interface InstrumentedBatch {
  consumer: string;
  memberId: string;
  /** The trace contexts are those of some of its events. */
  entries: readonly {
    readonly receipts: readonly unknown[];
    readonly traceparents?: readonly string[];
    readonly source?: PortalEvent['source'];
    readonly view?: { readonly entity: string; readonly names: readonly string[] };
  }[];
}

/**
 * Runs a handler on its batch, and records its size, its duration and its span (`messaging.operation.type` process): a
 * child of the first event's sampled trace, with links to the others.
 */
export async function instrument(
  { consumer, memberId, entries }: InstrumentedBatch,
  handle: () => Promise<readonly (FailedEntry | PostponedEntry)[]>,
): Promise<readonly (FailedEntry | PostponedEntry)[]> {
  const events = entries.reduce((sum, { receipts }) => sum + receipts.length, 0);
  batchEntries.observe({ consumer }, entries.length);
  mergedTotal.inc({ consumer }, events - entries.length);
  const stopTimer = processSeconds.startTimer({
    messaging_operation_name: 'process',
    messaging_consumer_group_name: consumer,
  });
  const [first, ...others] = recordedFirst(entries.flatMap(({ traceparents = [] }) => traceparents));
  const options: SpanOptions = {
    kind: SpanKind.CONSUMER,
    attributes: {
      'messaging.operation.type': 'process',
      'messaging.operation.name': 'process',
      'messaging.consumer.group.name': consumer,
      'messaging.destination.name': `b24.${consumer}`,
      'messaging.batch.message_count': events,
      'relay.batch.entries': entries.length,
      'relay.member_id': memberId,
    },
    links: others.map(({ spanContext }) => ({ context: spanContext })),
  };
  const parent = first?.context ?? contextOf(undefined);
  return tracer.startActiveSpan(`process b24.${consumer}`, options, parent, async (span) => {
    try {
      if (span.isRecording()) span.setAttributes(attributesOf(entries));
      const undone = await handle();
      const failed = undone.filter((each) => 'error' in each);
      span.setAttribute('relay.batch.failed', failed.length);
      span.setAttribute('relay.batch.postponed', undone.length - failed.length);
      if (failed[0]) failSpan(span, failed[0].error);
      stopTimer(failed[0] && { error_type: typeName(failed[0].error) });
      return undone;
    } catch (error) {
      failSpan(span, error);
      stopTimer({ error_type: typeName(error) });
      throw error;
    } finally {
      span.end();
    }
  });
}

/** What the events are of: their names, the first entities, and their source if all have the same one. */
function attributesOf(entries: InstrumentedBatch['entries']): Attributes {
  const views = entries.flatMap(({ view }) => view ?? []);
  const [source, ...others] = new Set(entries.map((entry) => entry.source));
  return {
    ...(source !== undefined && others.length === 0 && { 'relay.source': source }),
    'relay.events': [...new Set(views.flatMap(({ names }) => names))],
    'relay.entities': views.slice(0, MAX_ENTITIES).map(({ entity }) => entity),
  };
}

interface Origin {
  context: Context;
  spanContext: SpanContext;
}

/** Each once. A batch with one sampled event is sampled too, whatever was decided for the others. */
function recordedFirst(traceparents: readonly string[]): Origin[] {
  const origins: Origin[] = [];
  for (const traceparent of new Set(traceparents)) {
    if (origins.length > MAX_LINKS) break;
    const origin = contextOf(traceparent);
    const spanContext = trace.getSpanContext(origin);
    if (spanContext) origins.push({ context: origin, spanContext });
  }
  const recorded = origins.findIndex(({ spanContext }) => spanContext.traceFlags & TraceFlags.SAMPLED);
  if (recorded > 0) origins.unshift(...origins.splice(recorded, 1));
  return origins;
}

/** Not the error code: Bitrix24 codes are unbounded, which would be too many label values. */
function typeName(error: unknown): string {
  return error instanceof Error ? error.name : '_OTHER';
}
