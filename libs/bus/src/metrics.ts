import { counter, histogram } from '@relay/platform';

export const publishedTotal = counter({
  name: 'relay_bus_published_total',
  help: 'Events handed to the bus, by outcome: stored, or the code of the refusal',
  labelNames: ['outcome'],
});

export const settledTotal = counter({
  name: 'relay_bus_settled_total',
  help: 'Deliveries settled, by decision: done, retry, wait, dead',
  labelNames: ['consumer', 'decision'],
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

export const batchEntries = histogram({
  name: 'relay_bus_batch_entries',
  help: 'Entries of one batch given to a handler',
  labelNames: ['consumer'],
  buckets: [1, 2, 5, 10, 50, 250, 1000, 2500],
});

export const batchSeconds = histogram({
  name: 'relay_bus_batch_seconds',
  help: 'How long a handler took for one batch',
  labelNames: ['consumer'],
  buckets: [0.01, 0.05, 0.25, 1, 5, 15, 60, 300],
});
