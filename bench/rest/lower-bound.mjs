/** @typedef {{ rate: number, burst: number }} Limit requests a second, and at once */

const readsPerRequest = 50 * 50;
const writesPerRequest = 50;

/** Everything read and written once, every request as full as it can be (settings/how-to-call-rest-api/batch.md). @param {number} contacts */
export function leastRequests(contacts) {
  return Math.ceil(contacts / readsPerRequest) + Math.ceil(contacts / writesPerRequest);
}

/** Seconds until the last of them is let in, when the bucket is empty at first (settings/performance/limits.md). @param {number} requests @param {Limit} limit */
export function leastSeconds(requests, { rate, burst }) {
  return Math.max(0, requests - burst) / rate;
}

/**
 * What more contacts would take in the same way: as many requests for each, at the pace that was seen behind the burst.
 * @param {{ contacts: number, requests: number, seconds: number }} measured
 * @param {number} contacts
 * @param {Limit} limit
 */
export function scaledSeconds(measured, contacts, { burst }) {
  const requests = (measured.requests / measured.contacts) * contacts;
  const behindBurst = Math.max(1, measured.requests - burst);
  return (measured.seconds / behindBurst) * Math.max(0, requests - burst);
}
