import {
  context,
  type Context,
  type Span,
  type SpanContext,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  trace,
  TraceFlags,
} from '@opentelemetry/api';
import type { PortalEvent } from '@relay/events';
import { contextOf, currentTraceparent } from '@relay/platform';
import { toFailure } from './failure.js';

const tracer = trace.getTracer('@relay/bus');

/** The event with the active trace context; unchanged when there is none or the event already belongs to a trace. */
export function withCurrentTrace(event: PortalEvent): PortalEvent {
  return event.traceparent === undefined ? inCurrentTrace(event) : event;
}

/**
 * The span of one publish (`messaging.operation.type` send). Its parent is the active span, else the trace context of
 * the event (for example of one read from the journal). `publish` gets the event with this span as the parent for its
 * consumers.
 */
export function inPublishSpan(
  event: PortalEvent,
  { system, destination }: { system: string; destination: string },
  publish: (event: PortalEvent) => Promise<void>,
): Promise<void> {
  const parent = trace.getActiveSpan() ? context.active() : contextOf(event.traceparent);
  const options: SpanOptions = {
    kind: SpanKind.PRODUCER,
    attributes: {
      'messaging.system': system,
      'messaging.operation.type': 'send',
      'messaging.operation.name': 'publish',
      'messaging.destination.name': destination,
      'messaging.message.id': event.id,
      'relay.event': event.name,
      'relay.member_id': event.memberId,
    },
  };
  return inSpan(`publish ${destination}`, options, parent, () => publish(inCurrentTrace(event)));
}

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
    if (failure) markFailed(span, failure.error);
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

function inCurrentTrace(event: PortalEvent): PortalEvent {
  const traceparent = currentTraceparent();
  return traceparent === undefined ? event : { ...event, traceparent };
}

function inSpan<T>(
  name: string,
  options: SpanOptions,
  parent: Context,
  run: (span: Span) => Promise<T>,
): Promise<T> {
  return tracer.startActiveSpan(name, options, parent, async (span) => {
    try {
      return await run(span);
    } catch (error) {
      markFailed(span, error);
      throw error;
    } finally {
      span.end();
    }
  });
}

/** Not `recordException`, which would store the stack and the message unredacted. */
function markFailed(span: Span, error: unknown): void {
  const { code, message } = toFailure(error);
  span.setAttribute('error.type', code);
  span.setStatus({ code: SpanStatusCode.ERROR, message });
}
