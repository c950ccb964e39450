import { guidanceOf, type Log } from '@relay/platform';
import { type Receipt, toFailure } from '@relay/bus';
import type { FailedEntry, PortalBatch, PostponedEntry } from './batch.js';
import type { Outcome } from './decide.js';
import { instrument } from './instrumented-batch.js';
import type { LaneBatch, LaneRules } from './lane.js';
import type { PendingEntry } from './pending-entry.js';

/** One method under `@OnPortalEvents`, for any number of event names. */
export interface EventHandler extends LaneRules {
  /** Base or suffixed, in upper case. */
  readonly names: readonly string[];
  /** Throws when the whole batch failed, else returns the failed and postponed entries by their `entity`. */
  handle(batch: PortalBatch): Promise<readonly (FailedEntry | PostponedEntry)[]>;
}

export type Batch = LaneBatch<EventHandler, Receipt>;
export type Entry = PendingEntry<Receipt>;
/** Of each entry that the handler did not postpone. */
export type Outcomes = ReadonlyMap<Entry, Outcome>;

export interface BatchResult {
  outcomes: Outcomes;
  postponed: Entry[];
}

/** The whole batch is retried, since it is unknown what failed. */
class UnknownEntryError extends Error {
  override readonly name = 'UnknownEntryError';
  readonly code = 'UNKNOWN_ENTRY';
  constructor(names: readonly string[]) {
    super(
      `The handler of ${names.join(', ')} says that something failed which is not in its batch: return \`entity\``,
    );
  }
}

/** Its handler would never end it. It is retried, which uses an attempt. */
class PostponedAgainError extends Error {
  override readonly name = 'PostponedAgainError';
  readonly code = 'POSTPONED_AGAIN';
  readonly recovery = 'retry';
  constructor(names: readonly string[]) {
    super(
      `The handler of ${names.join(', ')} has postponed an entry that came first because it was postponed`,
    );
  }
}

export interface RunOptions {
  consumer: string;
  log: Log;
  /** After this time a running handler is logged as slow, and again at the same interval. Default ten minutes. */
  handlerNoticeMs?: number;
}

const DEFAULT_NOTICE_MS = 10 * 60_000;

/** Runs the handler; never throws. @param hasMore whether so many more entries wait for the handler */
export async function runBatch(
  batch: Batch,
  options: RunOptions,
  hasMore: (atLeast?: number) => boolean,
): Promise<BatchResult> {
  const notice = noticeIfLong(batch, options);
  const outcomeOf = await handle(batch, options.consumer, options.log, hasMore);
  clearInterval(notice);
  const outcomes = new Map<Entry, Outcome>();
  const postponed: Entry[] = [];
  for (const entry of batch.entries) {
    const outcome = outcomeOf(entry);
    if (outcome === 'postponed') postponed.push(entry);
    else outcomes.set(entry, outcome);
  }
  return { outcomes, postponed };
}

/**
 * Nothing more can be done about a handler that does not end: the portal's next batch must not run in parallel, and
 * its messages are redelivered when the process restarts.
 */
function noticeIfLong(
  { memberId, handler, entries }: Batch,
  { consumer, log, handlerNoticeMs = DEFAULT_NOTICE_MS }: RunOptions,
): NodeJS.Timeout {
  const beganAt = Date.now();
  const warn = (): void => {
    const seconds = Math.round((Date.now() - beganAt) / 1_000);
    log.error(
      {
        event: 'consumer.handler.slow',
        consumer,
        memberId,
        events: handler.names,
        of: entries.length,
        seconds,
      },
      'a handler has not ended yet, and its portal waits for it; if it never ends, restart this process',
    );
  };
  return setInterval(warn, handlerNoticeMs).unref();
}

async function handle(
  { memberId, handler, entries }: Batch,
  consumer: string,
  log: Log,
  hasMore: (atLeast?: number) => boolean,
): Promise<(entry: Entry) => Outcome | 'postponed'> {
  try {
    const undone = await instrument({ consumer, memberId, entries }, () =>
      // Copies: a handler that changes its entries must not change what the lane merges and counts.
      handler.handle({ memberId, entries: entries.map(({ view }) => ({ ...view })), hasMore }),
    );
    if (undone.length === 0) return () => ({ ok: true });
    const known = new Set(entries.map(({ view }) => view.entity));
    const postponedBefore = new Set(
      entries.filter(({ isPostponed }) => isPostponed).map(({ view }) => view.entity),
    );
    const errors = new Map<string, unknown>();
    const postponed = new Set<string>();
    for (const each of undone) {
      const { entity } = each;
      // Accepting the list would mark failed entries as done.
      if (!known.has(entity)) throw new UnknownEntryError(handler.names);
      if ('error' in each) errors.set(entity, each.error);
      else if (postponedBefore.has(entity)) errors.set(entity, new PostponedAgainError(handler.names));
      else postponed.add(entity);
    }
    const outcomeOf = ({ view: { entity } }: Entry): Outcome | 'postponed' => {
      if (errors.has(entity)) return { ok: false, error: errors.get(entity) };
      return postponed.has(entity) ? 'postponed' : { ok: true };
    };
    if (errors.size === 0) return outcomeOf;
    log.warn(
      {
        event: 'consumer.entries.failed',
        consumer,
        memberId,
        failed: errors.size,
        of: entries.length,
        failure: toFailure([...errors.values()][0]),
      },
      'entries of a batch failed',
    );
    return outcomeOf;
  } catch (error) {
    log.warn(
      {
        event: 'consumer.batch.failed',
        consumer,
        memberId,
        of: entries.length,
        failure: toFailure(error),
        at: throwSiteOf(error),
      },
      'a batch failed',
    );
    return () => ({ ok: false, error });
  }
}

/**
 * What a batch shows of its environment. `healthy`: something had a result, even a permanent rejection; `failing`:
 * everything failed with retryable errors; `undecided`: everything that failed waits for its portal.
 */
export function healthOf(outcomes: Outcomes): 'healthy' | 'failing' | 'undecided' {
  let health: 'failing' | 'undecided' = 'undecided';
  for (const outcome of outcomes.values()) {
    const recovery = outcome.ok ? 'never' : guidanceOf(outcome.error).recovery;
    if (recovery === 'never') return 'healthy';
    if (recovery === 'retry') health = 'failing';
  }
  return health;
}

const APP_FRAME = /^\s+at .*?\b(apps\/[\w./-]+:\d+:\d+)\)?$/m;
/** Some ten frames. */
const MAX_STACK_LENGTH = 10_000;

/**
 * Where in an app's source an error was thrown, `apps/deal-notifier/src/changes.ts:12:5`. Of a stack this is what has no data in it: its
 * first lines are the message, which may be a portal's and look like a frame.
 */
export function throwSiteOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const frames = (error.stack ?? '').replace(error.message, '').slice(0, MAX_STACK_LENGTH);
  return APP_FRAME.exec(frames)?.[1];
}
