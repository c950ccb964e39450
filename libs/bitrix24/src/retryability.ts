import type { Bitrix24Error } from './errors.js';

/**
 * What a second run of a method does:
 * - `read`: nothing, it only looks;
 * - `idempotent`: the same again, such as setting fields to given values;
 * - `other`: perhaps a second item, so it is repeated only if the first request surely did not arrive.
 */
export type Idempotency = 'read' | 'idempotent' | 'other';

const READ_ENDINGS: ReadonlySet<string> = new Set([
  'get',
  'list',
  'fields',
  'count',
  'getlist',
  'getfields',
  'gettypes',
]);
const READS: ReadonlySet<string> = new Set([
  'app.info',
  'events',
  'methods',
  'profile',
  'scope',
  'server.time',
  'user.current',
  'user.search',
]);
/** It takes what it reads off the queue (`api-reference/events/event-offline-get.md`). */
const NO_READS: ReadonlySet<string> = new Set(['event.offline.get']);
const IDEMPOTENT_ENDINGS: ReadonlySet<string> = new Set(['update', 'delete', 'set']);

/** By the method's name, as Bitrix24 gives them. Who knows more of a method says so by `repeatable`. */
export function idempotencyOf(method: string): Idempotency {
  const name = method.toLowerCase();
  const ending = name.slice(name.lastIndexOf('.') + 1);
  if (NO_READS.has(name)) return 'other';
  if (READS.has(name) || READ_ENDINGS.has(ending)) return 'read';
  return IDEMPOTENT_ENDINGS.has(ending) ? 'idempotent' : 'other';
}

const FROM_BEST_TO_WORST: readonly Idempotency[] = ['read', 'idempotent', 'other'];

/** A request is as its worst command: it is repeated as a whole. */
export function weakestIdempotency(methods: readonly string[]): Idempotency {
  const worst = Math.max(0, ...methods.map((method) => FROM_BEST_TO_WORST.indexOf(idempotencyOf(method))));
  return FROM_BEST_TO_WORST[worst] ?? 'other';
}

/** How often one request is repeated after an error that may pass by itself. */
export const MAX_RETRIES = 2;
/** How often after `QUERY_LIMIT_EXCEEDED`, each time when the pace admits it. */
export const MAX_THROTTLED = 8;

/**
 * Whether the same request may be sent again after this error. Not after a `TIMEOUT`: the portal was slow over it, and
 * the same would take as long again. Who sent much at once can ask for less.
 */
export function isRetryable(
  { code, recovery, delivered, httpStatus }: Bitrix24Error,
  kind: Idempotency,
): boolean {
  if (code === 'TRANSPORT') return kind !== 'other' || delivered === 'no';
  if (recovery !== 'retry' || code === 'TIMEOUT') return false;
  if (kind === 'other') return false;
  // A front end that shuts the door (401, 403, 404) does not open it within seconds.
  if (code === 'BAD_ANSWER') return httpStatus === undefined || httpStatus < 400 || httpStatus >= 500;
  return httpStatus !== undefined && httpStatus >= 500;
}

/**
 * Milliseconds before the first, second … repeat: about 0.3 s, then 1.2 s. Half of it is left to chance, so that those
 * who failed together do not come back together.
 */
export function retryDelayMs(repeat: number, random: () => number = Math.random): number {
  return Math.round(300 * 4 ** (repeat - 1) * (0.5 + random()));
}
