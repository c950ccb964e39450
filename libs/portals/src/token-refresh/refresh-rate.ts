import type { CredentialsEntity } from '../database/entities.js';

/** Early refreshes without delay: a portal can invalidate a token early, for example when all sessions are ended. */
const FREE_IF_ACCEPTED = 5;
/** The pair of an install may be invalid on arrival; its refreshed successor is not. */
const FREE_IF_UNPROVEN = 1;
const MAX_PAUSE_MS = 3_600_000;

/**
 * Rate limit of token refreshes that a portal causes by `expired_token`. A portal that rejects every token as expired
 * must not cause endless requests to the OAuth server, which blocks an application for that
 * (`settings/oauth/auto-renewal.md`). A token that has not expired by its lifetime is refreshed at once a few times,
 * then after `everyMs` with exponential backoff. The counter is stored with the pair, for all processes.
 * @returns the number of consecutive early refreshes including this one, or the delay
 */
export function checkRefreshRate(
  {
    updatedAt,
    expiresAt,
    earlyRefreshes,
    acceptedAt,
  }: Pick<CredentialsEntity, 'updatedAt' | 'expiresAt' | 'earlyRefreshes' | 'acceptedAt'>,
  everyMs: number,
  nowMs = Date.now(),
): { readonly earlyRefreshes: number } | { readonly waitMs: number } {
  const ageMs = nowMs - updatedAt.getTime();
  const lifetimeMs = expiresAt === null ? 0 : expiresAt.getTime() - updatedAt.getTime();
  // A tenth of the lifetime is tolerance for clock skew. A lifetime shorter than `everyMs` does not raise the rate.
  if (ageMs >= Math.max(lifetimeMs * 0.9, everyMs)) {
    return { earlyRefreshes: acceptedAt === null ? earlyRefreshes : 0 };
  }
  const free = acceptedAt === null ? FREE_IF_UNPROVEN : FREE_IF_ACCEPTED;
  const pauseMs = earlyRefreshes < free ? 0 : Math.min(everyMs * 2 ** (earlyRefreshes - free), MAX_PAUSE_MS);
  return ageMs < pauseMs ? { waitMs: pauseMs - ageMs } : { earlyRefreshes: earlyRefreshes + 1 };
}
