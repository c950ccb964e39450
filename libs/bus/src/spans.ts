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

/** The event as a part of what is traced now; the same one while nothing is, or when it belongs to a trace already. */
export function withCurrentTrace(event: PortalEvent): PortalEvent {
  return event.traceparent === undefined ? inCurrentTrace(event) : event;
}

/**
 * The span of one publish (`messaging.operation.type` send). It goes on with what is traced now, else with the trace that
 * the event brought, as one out of the journal; `publish` gets the event with this span as what its consumers go on with.
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

/** What a process span tells of a batch. */
export interface TracedBatch {
  consumer: string;
  memberId: string;
  /** Entries, and the events that they stand for. */
  entries: number;
  events: number;
  /** Of these events, or of some of them. */
  traceparents: readonly string[];
}

/** The limit of the SDK, and far more than anybody looks at. */
const MAX_LINKS = 128;

/**
 * The span of one batch in its handler's hands (`messaging.operation.type` process): a child of the first event's trace
 * that is recorded, with links to the others'. `failureOf` finds the failure in a result that is one in part.
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

/** Each once. A batch of which one event is recorded has to be, too, whatever was decided for the rest. */
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

/** Not `recordException`, which would keep the stack and the message as they are. */
function markFailed(span: Span, error: unknown): void {
  const { code, message } = toFailure(error);
  span.setAttribute('error.type', code);
  span.setStatus({ code: SpanStatusCode.ERROR, message });
}
