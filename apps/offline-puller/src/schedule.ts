import type { DeliveryMode } from '@relay/portals';

/**
 * In mode `both` a record is taken after this time: what arrives online meanwhile is handled without it, and further
 * changes of the same thing stay one record.
 */
export const MIN_RECORD_AGE_MS = 30_000;

/**
 * A signal shows that the portal reaches us: what it recorded has most likely come online, and the poll is only for what
 * did not. So it may wait, until there are many records to take at once.
 */
export const SIGNALLED_MS = 2 * 60_000;

/**
 * A poll that is due is put off while events of the portal come online, at most so long: its records, the ones of our own
 * writes among them, most likely came online as well, and those of one thing become one. The end of a mass update ends it.
 */
export const MAX_PUT_OFF_MS = 3 * 60_000;

/** Such a portal's events come so often. Gateways note each ten seconds when one came. */
export const ONLINE_WITHIN_MS = 30_000;

/** Pauses between two polls of a portal, in ms. Nobody signals the queue of a portal that cannot reach us. */
const PAUSES = {
  both: { busyMs: MIN_RECORD_AGE_MS + 5_000, maxIdleMs: 5 * 60_000 },
  offline: { busyMs: 10_000, maxIdleMs: 90_000 },
  // Until its handlers are unbound.
  online: { busyMs: 10_000, maxIdleMs: 90_000 },
} as const;

/** Portals that were found empty together are not polled together. */
const JITTER = 0.2;

/**
 * Milliseconds until the next poll: doubled after the second that found nothing, and each further one. As long as at
 * an idle portal if the records were signalled: the next signal brings the poll forward.
 * @param emptyPolls in a row, this one included
 * @param isSignalled the portal has signalled since the poll before
 * @param random from 0 to 1
 */
export function nextPollInMs(
  mode: DeliveryMode,
  emptyPolls: number,
  isSignalled: boolean,
  random = Math.random(),
): number {
  const { busyMs, maxIdleMs } = PAUSES[mode];
  const doublings = Math.min(Math.max(emptyPolls - 1, 0), 10);
  const pauseMs = isSignalled ? maxIdleMs : Math.min(busyMs * 2 ** doublings, maxIdleMs);
  return Math.round(pauseMs * (1 - JITTER + 2 * JITTER * random));
}
