import { context, type Span, SpanKind, type SpanOptions, SpanStatusCode, trace } from '@opentelemetry/api';
import type { PortalEvent } from '@relay/events';
import { contextOf, counter, currentTraceparent, histogram, isTraced } from '@relay/platform';
import { BUS_UNAVAILABLE_CODES, BusUnavailableError, type ConsumeOptions } from './event-bus.js';
import { toFailure } from './failure.js';
import { tierName } from './retry-delays.js';

/*
 * Metrics that OpenTelemetry's messaging conventions name use those names, in Prometheus spelling
 * (open-telemetry/semantic-conventions, docs/messaging/messaging-metrics.md); a label is omitted where the conventions
 * say so, such as `error_type` when nothing failed. The other metrics are specific to this project. No label holds a
 * portal, or anything else that a portal can choose. Counters begin with 0 for the labels that are known at the start: the rate of a
 * series that begins with its first failure does not show that failure
 * (https://prometheus.io/docs/practices/instrumentation/#avoid-missing-metrics).
 */

/** As `messaging.client.operation.duration` advises, in seconds. */
const ADVISED_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

const sentTotal = counter({
  name: 'messaging_client_sent_messages_total',
  help: 'Publishes; error_type is the code of the rejection',
  labelNames: ['messaging_system', 'messaging_operation_name', 'messaging_destination_name', 'error_type'],
});

const operationSeconds = histogram({
  name: 'messaging_client_operation_duration_seconds',
  help: 'How long the bus took to confirm that an event is stored, or to reject it',
  labelNames: ['messaging_system', 'messaging_operation_name', 'messaging_destination_name', 'error_type'],
  buckets: ADVISED_BUCKETS,
});

const consumedTotal = counter({
  name: 'messaging_client_consumed_messages_total',
  help: 'Events that the bus delivered to this process, each redelivery counted',
  labelNames: ['messaging_system', 'messaging_operation_name', 'messaging_consumer_group_name'],
});

export const retriedTotal = counter({
  name: 'relay_bus_retried_total',
  help: 'Deliveries put into a retry tier',
  labelNames: ['consumer', 'tier'],
});

export const deadTotal = counter({
  name: 'relay_bus_dead_total',
  help: 'Messages moved to the dead letters',
  labelNames: ['consumer'],
});

export const newerTotal = counter({
  name: 'relay_bus_newer_total',
  help: 'Deliveries that a newer version wrote, each redelivery counted: they wait for the upgrade',
  labelNames: ['consumer'],
});

export const restoredTotal = counter({
  name: 'relay_bus_restored_total',
  help: 'Queues and exchanges that were missing on RabbitMQ and were declared again',
  labelNames: ['kind'],
});

export const returnedTotal = counter({
  name: 'relay_bus_returned_total',
  help: 'Unrouted events that were returned to their subscribers',
  labelNames: ['consumer'],
});

const tracer = trace.getTracer('@relay/bus');

type MessagingSystem = 'rabbitmq' | 'postgresql';

/** The destination in metrics and spans: also on PostgreSQL, which has no exchange. */
const DESTINATION = 'b24.events';

const published = { rabbitmq: publishLabels('rabbitmq'), postgresql: publishLabels('postgresql') };

function publishLabels(system: MessagingSystem) {
  return {
    messaging_system: system,
    messaging_operation_name: 'publish',
    messaging_destination_name: DESTINATION,
  };
}

/** Before the first publish of a process. */
export function beginPublishing(system: MessagingSystem): void {
  sentTotal.inc(published[system], 0);
  for (const code of BUS_UNAVAILABLE_CODES) sentTotal.inc({ ...published[system], error_type: code }, 0);
}

/**
 * Runs one publish, and records its outcome and its duration; if spans are exported, also its span. `publish` gets the
 * event with this span as the parent for its consumers.
 */
export async function instrumentPublish(
  system: MessagingSystem,
  event: PortalEvent,
  publish: (event: PortalEvent) => Promise<void>,
): Promise<void> {
  const startedAt = performance.now();
  let labels: Readonly<Record<string, string>> = published[system];
  try {
    await (isTraced() ? inPublishSpan(system, event, publish) : publish(event));
  } catch (error) {
    labels = { ...labels, error_type: error instanceof BusUnavailableError ? error.code : '_OTHER' };
    throw error;
  } finally {
    sentTotal.inc(labels);
    operationSeconds.observe(labels, (performance.now() - startedAt) / 1_000);
  }
}

/**
 * The span of one publish (`messaging.operation.type` send). Its parent is the active span, else the trace context of
 * the event (for example of one read from the journal).
 */
function inPublishSpan(
  system: MessagingSystem,
  event: PortalEvent,
  publish: (event: PortalEvent) => Promise<void>,
): Promise<void> {
  const options: SpanOptions = {
    kind: SpanKind.PRODUCER,
    attributes: {
      'messaging.system': system,
      'messaging.operation.type': 'send',
      'messaging.operation.name': 'publish',
      'messaging.destination.name': DESTINATION,
      'messaging.message.id': event.id,
      'relay.event': event.name,
      'relay.member_id': event.memberId,
    },
  };
  const parent = trace.getActiveSpan() ? context.active() : contextOf(event.traceparent);
  return tracer.startActiveSpan(`publish ${DESTINATION}`, options, parent, async (span) => {
    try {
      await publish(inCurrentTrace(event));
    } catch (error) {
      failSpan(span, error);
      throw error;
    } finally {
      span.end();
    }
  });
}

/** The same `receive`, which counts what it gets. Before the first delivery. */
export function countDeliveries(
  system: MessagingSystem,
  { consumer, receive }: Pick<ConsumeOptions, 'consumer' | 'receive'>,
  retryDelaysMs: readonly number[],
): ConsumeOptions['receive'] {
  for (const delayMs of retryDelaysMs) retriedTotal.inc({ consumer, tier: tierName(delayMs) }, 0);
  for (const total of [deadTotal, newerTotal]) total.inc({ consumer }, 0);
  const consumed = consumedTotal.labels({
    messaging_system: system,
    messaging_operation_name: 'consume',
    messaging_consumer_group_name: consumer,
  });
  return (delivery) => {
    consumed.inc();
    receive(delivery);
  };
}

/** The event with the active trace context; unchanged when there is none or the event already belongs to a trace. */
export function withCurrentTrace(event: PortalEvent): PortalEvent {
  return event.traceparent === undefined ? inCurrentTrace(event) : event;
}

function inCurrentTrace(event: PortalEvent): PortalEvent {
  const traceparent = currentTraceparent();
  return traceparent === undefined ? event : { ...event, traceparent };
}

/** Marks the span as failed. Not by `recordException`, which would store the stack and the message unredacted. */
export function failSpan(span: Span, error: unknown): void {
  const { code, message } = toFailure(error);
  span.setAttribute('error.type', code);
  span.setStatus({ code: SpanStatusCode.ERROR, message });
}
