import {
  type Context,
  type SpanContext,
  SpanKind,
  type SpanOptions,
  trace,
  TraceFlags,
} from '@opentelemetry/api';
import { failSpan, inSpan } from '@relay/bus';
import { contextOf } from '@relay/platform';

/** The batch attributes of a process span. */
export interface TracedBatch {
  consumer: string;
  memberId: string;
  /** Entries, and the events merged into them. */
  entries: number;
  events: number;
  /** Trace contexts of these events, or of some of them. */
  traceparents: readonly string[];
}

/** The limit of the SDK, and far more than anybody reads. */
const MAX_LINKS = 128;

/**
 * The span of one batch while its handler runs (`messaging.operation.type` process): a child of the first event's
 * sampled trace, with links to the others. `failureOf` extracts the failure from a partly failed result.
 */
export function inBatchSpan<T>(
  { consumer, memberId, entries, events, traceparents }: TracedBatch,
  run: () => Promise<T>,
  failureOf: (result: T) => { error: unknown } | undefined,
): Promise<T> {
  const [first, ...others] = recordedFirst(traceparents);
  const options: SpanOptions = {
    kind: SpanKind.CONSUMER,
    attributes: {
      'messaging.operation.type': 'process',
      'messaging.operation.name': 'process',
      'messaging.consumer.group.name': consumer,
      'messaging.destination.name': `b24.${consumer}`,
      'messaging.batch.message_count': events,
      'relay.batch.entries': entries,
      'relay.member_id': memberId,
    },
    links: others.map(({ spanContext }) => ({ context: spanContext })),
  };
  return inSpan(`process b24.${consumer}`, options, first?.context ?? contextOf(undefined), async (span) => {
    const result = await run();
    const failure = failureOf(result);
    if (failure) failSpan(span, failure.error);
    return result;
  });
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
