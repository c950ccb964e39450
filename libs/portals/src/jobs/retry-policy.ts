import { guidanceOf } from '@relay/platform';
import type { RetryDecision } from './job-leases.js';

const FIRST_PAUSE_MS = 2_000;
const MAX_PAUSE_MS = 10 * 60_000;
/** Delay while the portal accepts no calls, or must be authorized again. */
const WAIT_MS = 60_000;
/** More than an hour of retries. */
const MAX_ATTEMPTS = 12;

/** Decides on a failed job after `attempts` earlier failures. An error without a recovery counts as transient. */
export function decideRetry(error: unknown, attempts: number): RetryDecision {
  const { recovery, retryAfterMs = 0 } = guidanceOf(error);
  switch (recovery) {
    case 'never':
      return { again: false };
    case 'wait':
      return { again: true, afterMs: retryAfterMs || WAIT_MS, counts: false };
    case 'reauthorize':
      return { again: true, afterMs: Math.max(retryAfterMs, WAIT_MS), counts: false };
    case 'retry': {
      if (attempts + 1 >= MAX_ATTEMPTS) return { again: false };
      const pauseMs = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempts);
      return { again: true, afterMs: Math.max(pauseMs, retryAfterMs), counts: true };
    }
    default:
      return assertUnreachable(recovery);
  }
}

function assertUnreachable(value: never): never {
  throw new TypeError(`Unknown recovery: ${String(value)}`);
}
