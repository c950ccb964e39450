import { guidanceOf } from '@relay/platform';
import type { TaskVerdict } from './task-lease.js';

const firstPauseMs = 2_000;
const longestPauseMs = 10 * 60_000;
/** The portal takes no calls for now, or a person has to authorize it again. */
const waitMs = 60_000;
/** More than an hour of trying. */
const mostAttempts = 12;

/** What to do about a task that failed, `attempts` times before this. An error that says nothing about itself may pass. */
export function judgeFailure(error: unknown, attempts: number): TaskVerdict {
  const { recovery, retryAfterMs = 0 } = guidanceOf(error);
  switch (recovery) {
    case 'never':
      return { again: false };
    case 'wait':
      return { again: true, afterMs: retryAfterMs || waitMs, counts: false };
    case 'reauthorize':
      return { again: true, afterMs: Math.max(retryAfterMs, waitMs), counts: false };
    case 'retry': {
      if (attempts + 1 >= mostAttempts) return { again: false };
      const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** attempts);
      return { again: true, afterMs: Math.max(pauseMs, retryAfterMs), counts: true };
    }
    default:
      return assertUnreachable(recovery);
  }
}

function assertUnreachable(value: never): never {
  throw new TypeError(`Unknown recovery: ${String(value)}`);
}
