import { counter, histogram } from '@relay/platform';

/*
 * Metrics that OpenTelemetry's messaging conventions name use those names, in Prometheus spelling
 * (open-telemetry/semantic-conventions, docs/messaging/messaging-metrics.md); a label is omitted where the conventions
 * say so, such as `error_type` when nothing failed. The other metrics are specific to this project. No label holds a
 * portal, or anything else that a portal can choose.
 */

/** As `messaging.client.operation.duration` and `messaging.process.duration` advise, in seconds. */
const ADVISED_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

export const sentTotal = counter({
  name: 'messaging_client_sent_messages_total',
  help: 'Events that were to be put on the bus; error_type is the code of the refusal',
  labelNames: ['messaging_system', 'messaging_operation_name', 'messaging_destination_name', 'error_type'],
});

export const operationSeconds = histogram({
  name: 'messaging_client_operation_duration_seconds',
  help: 'How long the bus took to confirm that an event is stored, or to refuse it',
  labelNames: ['messaging_system', 'messaging_operation_name', 'messaging_destination_name', 'error_type'],
  buckets: ADVISED_BUCKETS,
});

export const consumedTotal = counter({
  name: 'messaging_client_consumed_messages_total',
  help: 'Events that the bus delivered to this process, each time they came',
  labelNames: ['messaging_system', 'messaging_operation_name', 'messaging_consumer_group_name'],
});

export const retriedTotal = counter({
  name: 'relay_bus_retried_total',
  help: 'Deliveries put into a retry tier',
  labelNames: ['consumer', 'tier'],
});

export const deadTotal = counter({
  name: 'relay_bus_dead_total',
  help: 'Messages put among the dead letters',
  labelNames: ['consumer'],
});

export const newerTotal = counter({
  name: 'relay_bus_newer_total',
  help: 'Deliveries that a newer version wrote, each time they came: they wait for the upgrade',
  labelNames: ['consumer'],
});

export const restoredTotal = counter({
  name: 'relay_bus_restored_total',
  help: 'Queues and exchanges that were missing on RabbitMQ and were made anew',
  labelNames: ['kind'],
});

export const returnedTotal = counter({
  name: 'relay_bus_returned_total',
  help: 'Events that had gone to nobody and were brought to a consumer that wants them',
  labelNames: ['consumer'],
});
