import type { CredentialsEntity } from '../entities.js';

/** Once in a while a portal forgets a token before its time: when its administrator ends all sessions, say. */
const FREE_IF_ACCEPTED = 5;
/** The pair of an install may be dead on arrival; one that we were granted for it is not. */
const FREE_IF_UNPROVEN = 1;
const MAX_PAUSE_MS = 3_600_000;

/**
 * May the pair be renewed, of which the portal says that its token has expired? A portal that says so for ever, of every
 * token that it is sent, must not make us ask the OAuth server for ever: an application is blocked for that
 * (`settings/oauth/auto-renewal.md`). So a token that should live on is renewed at once only while that is rare, then
 * after `everyMs`, and ever later. What counts is stored with the pair, for all processes.
 * @returns how many early renewals there are in a row with this one, or how long it has to wait
 */
export function checkRefreshRate(
  {
    updatedAt,
    expiresAt,
    earlyRenewals,
    acceptedAt,
  }: Pick<CredentialsEntity, 'updatedAt' | 'expiresAt' | 'earlyRenewals' | 'acceptedAt'>,
  everyMs: number,
  nowMs = Date.now(),
): { readonly earlyRenewals: number } | { readonly waitMs: number } {
  const ageMs = nowMs - updatedAt.getTime();
  const lifetimeMs = expiresAt === null ? 0 : expiresAt.getTime() - updatedAt.getTime();
  // A little before its time is in time: nobody's clock is right. And no lifetime is shorter than the pause.
  if (ageMs >= Math.max(lifetimeMs * 0.9, everyMs)) {
    return { earlyRenewals: acceptedAt === null ? earlyRenewals : 0 };
  }
  const free = acceptedAt === null ? FREE_IF_UNPROVEN : FREE_IF_ACCEPTED;
  const pauseMs = earlyRenewals < free ? 0 : Math.min(everyMs * 2 ** (earlyRenewals - free), MAX_PAUSE_MS);
  return ageMs < pauseMs ? { waitMs: pauseMs - ageMs } : { earlyRenewals: earlyRenewals + 1 };
}
