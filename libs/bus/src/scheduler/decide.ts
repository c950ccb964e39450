import { guidanceOf } from '@relay/platform';

/** How a handler's run ended for one entry. */
export type Outcome = { ok: true } | { ok: false; error: unknown };

export type Decision =
  | { kind: 'done' }
  | { kind: 'retry'; afterMs: number }
  /** Not the event's fault: comes back without having spent an attempt. */
  | { kind: 'wait'; afterMs: number }
  /** `failed`: by its own error. `held`: nothing is wrong with it, but its portal could not be called for too long. */
  | { kind: 'dead'; because: 'failed' | 'held' };

export interface History {
  /** Failed attempts before this one. */
  attempts: number;
  /** Milliseconds; undefined when this is the first failure. */
  firstFailedAt: number | undefined;
}

/** A limit of Bitrix24 that does not say when it ends, or a portal that is down, has passed within seconds or takes long. */
const SHORTEST_WAIT_MS = 5_000;
const MAX_WAIT_MS = 10 * 60_000;
/** A person has to authorise the application again; looking every ten minutes is soon enough. */
const REAUTHORIZE_MS = 10 * 60_000;

export interface DecisionRules {
  /** A failed attempt waits for the next of these; after the last one the message is dead. */
  retryDelaysMs: readonly number[];
  /** A portal that could not be called for so long is not coming back by itself: its events become dead letters, to be replayed. */
  holdMs: number;
}

/** The one place that decides done, retry, wait or dead. An error that says nothing about itself is retried. */
export function decide(
  outcome: Outcome,
  { attempts, firstFailedAt }: History,
  { retryDelaysMs, holdMs }: DecisionRules,
  now = Date.now(),
): Decision {
  if (outcome.ok) return { kind: 'done' };
  const { recovery, retryAfterMs } = guidanceOf(outcome.error);
  const waitedTooLong = firstFailedAt !== undefined && now - firstFailedAt >= holdMs;
  switch (recovery) {
    case 'retry': {
      const delayMs = retryDelaysMs[attempts];
      if (delayMs === undefined) return { kind: 'dead', because: 'failed' };
      return { kind: 'retry', afterMs: Math.max(delayMs, retryAfterMs ?? 0) };
    }
    case 'wait':
      return waitedTooLong
        ? { kind: 'dead', because: 'held' }
        : { kind: 'wait', afterMs: retryAfterMs ?? waitMs(firstFailedAt ?? now, now) };
    case 'reauthorize':
      return waitedTooLong
        ? { kind: 'dead', because: 'held' }
        : { kind: 'wait', afterMs: retryAfterMs ?? REAUTHORIZE_MS };
    case 'never':
      return { kind: 'dead', because: 'failed' };
    default:
      return assertUnreachable(recovery);
  }
}

/** The longer it has failed, the less often it is worth a look. */
function waitMs(firstFailedAt: number, now: number): number {
  return Math.min(Math.max(SHORTEST_WAIT_MS, (now - firstFailedAt) / 2), MAX_WAIT_MS);
}

function assertUnreachable(value: never): never {
  throw new TypeError(`Unknown recovery: ${String(value)}`);
}
