import { counter, histogram } from '@relay/platform';

export const bucketWaitSeconds = histogram({
  name: 'relay_rest_wait_seconds',
  help: 'How long requests waited until the limits of their portal let them go, by work: live, bulk',
  labelNames: ['work'],
  buckets: [0.01, 0.05, 0.25, 1, 5, 15, 60, 300],
});

export const refusedTotal = counter({
  name: 'relay_rest_refused_total',
  help: 'Requests refused with QUERY_LIMIT_EXCEEDED: others call the portal from our address',
});
