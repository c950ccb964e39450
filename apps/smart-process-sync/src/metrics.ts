import { counter } from '@relay/platform';

export const itemsTotal = counter({
  name: 'relay_sync_items_total',
  help: 'Items stored in the mirror, by work: live, backfill, reconcile',
  labelNames: ['work'],
});

export const foundTotal = counter({
  name: 'relay_sync_found_total',
  help: 'What reconciliations found and mended, by what: missing, stale, deleted, hidden',
  labelNames: ['what'],
});

export const unreadableTotal = counter({
  name: 'relay_sync_unreadable_total',
  help: 'Items that a backfill or a reconciliation passed by, because the portal could not give them',
});

export const leftOutTotal = counter({
  name: 'relay_sync_left_out_total',
  help: 'What a portal said of its types and could not be taken, each time it was read, by what: types, fields, options',
  labelNames: ['what'],
});
