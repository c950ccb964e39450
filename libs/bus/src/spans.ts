import {
  context,
  type Context,
  type Span,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  trace,
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

function inCurrentTrace(event: PortalEvent): PortalEvent {
  const traceparent = currentTraceparent();
  return traceparent === undefined ? event : { ...event, traceparent };
}

/** Runs in a span, which ends with it and records its failure. */
export function inSpan<T>(
  name: string,
  options: SpanOptions,
  parent: Context,
  run: (span: Span) => Promise<T>,
): Promise<T> {
  return tracer.startActiveSpan(name, options, parent, async (span) => {
    try {
      return await run(span);
    } catch (error) {
      failSpan(span, error);
      throw error;
    } finally {
      span.end();
    }
  });
}

/** Not `recordException`, which would store the stack and the message unredacted. */
export function failSpan(span: Span, error: unknown): void {
  const { code, message } = toFailure(error);
  span.setAttribute('error.type', code);
  span.setStatus({ code: SpanStatusCode.ERROR, message });
}
