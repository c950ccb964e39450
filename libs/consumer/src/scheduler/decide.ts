import { guidanceOf } from '@relay/platform';

/** The result of a handler run for one entry. */
export type Outcome = { ok: true } | { ok: false; error: unknown };

export type Decision =
  | { kind: 'done' }
  | { kind: 'retry'; afterMs: number }
  /** The event is not to blame: it comes back without having spent an attempt. */
  | { kind: 'wait'; afterMs: number }
  /** `failed`: by its own error. `hold-expired`: the event is fine, but its portal could not be called for too long. */
  | { kind: 'dead'; reason: 'failed' | 'hold-expired' };

export interface History {
  /** Failed attempts before this one. */
  attempts: number;
  /** Unix time in milliseconds; undefined when this is the first failure. */
  firstFailedAt: number | undefined;
}

/** A Bitrix24 limit without a retry-after, or a portal that is down, either recovers within seconds or takes long. */
const SHORTEST_WAIT_MS = 5_000;
const MAX_WAIT_MS = 10 * 60_000;
/** An operator has to authorise the application again; checking every ten minutes is enough. */
const REAUTHORIZE_MS = 10 * 60_000;

export interface DecisionRules {
  /** Delay of each failed attempt in turn; after the last one the message becomes a dead letter. */
  retryDelaysMs: readonly number[];
  /** After this time a portal is not expected to recover by itself: its events become dead letters, to be replayed. */
  holdMs: number;
}

/** The only place that decides between done, retry, wait and dead. An unclassified error is retried. */
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
      if (delayMs === undefined) return { kind: 'dead', reason: 'failed' };
      return { kind: 'retry', afterMs: Math.max(delayMs, retryAfterMs ?? 0) };
    }
    case 'wait':
      return waitedTooLong
        ? { kind: 'dead', reason: 'hold-expired' }
        : { kind: 'wait', afterMs: retryAfterMs ?? waitMs(firstFailedAt ?? now, now) };
    case 'reauthorize':
      return waitedTooLong
        ? { kind: 'dead', reason: 'hold-expired' }
        : { kind: 'wait', afterMs: retryAfterMs ?? REAUTHORIZE_MS };
    case 'never':
      return { kind: 'dead', reason: 'failed' };
    default:
      return assertUnreachable(recovery);
  }
}

/** The longer it has failed, the less often it is tried. */
function waitMs(firstFailedAt: number, now: number): number {
  return Math.min(Math.max(SHORTEST_WAIT_MS, (now - firstFailedAt) / 2), MAX_WAIT_MS);
}

function assertUnreachable(value: never): never {
  throw new TypeError(`Unknown recovery: ${String(value)}`);
}
