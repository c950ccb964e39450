import { counter, histogram } from '@relay/platform';

/** As `messaging.process.duration` advises, in seconds. */
const ADVISED_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

export const processSeconds = histogram({
  name: 'messaging_process_duration_seconds',
  help: 'How long a handler took for one batch; error_type when the batch, or entries of it, failed',
  labelNames: ['messaging_operation_name', 'messaging_consumer_group_name', 'error_type'],
  // A batch may wait a minute for a Bitrix24 response, and more than once.
  buckets: [...ADVISED_BUCKETS, 30, 60, 300],
});

export const batchEntries = histogram({
  name: 'relay_bus_batch_entries',
  help: 'Entries of one batch given to a handler',
  labelNames: ['consumer'],
  buckets: [1, 2, 5, 10, 50, 250, 1000, 2500],
});

export const mergedTotal = counter({
  name: 'relay_bus_merged_total',
  help: 'Events that needed no entry of their own in a batch, for another one of the same entity waited already',
  labelNames: ['consumer'],
});

export const settledTotal = counter({
  name: 'relay_bus_settled_total',
  help: 'Deliveries settled, by decision: done, retry, wait, dead',
  labelNames: ['consumer', 'decision'],
});
