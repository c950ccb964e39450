import { Bitrix24Error } from '@relay/bitrix24';

/** An operator's `resume`, and an install, are to show soon: what waits looks again at least this often. */
const MAX_RETRY_AFTER_MS = 10 * 60_000;
const LEAST_RETRY_AFTER_MS = 1_000;

/** The portal has refused everything, and is left alone until its next try. */
export class PortalSuspendedError extends Bitrix24Error {
  override readonly name = 'PortalSuspendedError';

  constructor(
    memberId: string,
    readonly reason: string,
    nextTryInMs: number,
    cause?: unknown,
  ) {
    const retryAfterMs = Math.min(Math.max(nextTryInMs, LEAST_RETRY_AFTER_MS), MAX_RETRY_AFTER_MS);
    super('PORTAL_SUSPENDED', { memberId, recovery: 'wait', retryAfterMs, cause });
    this.message = `PORTAL_SUSPENDED: the portal takes no calls (${reason}); the next try is in ${inWords(nextTryInMs)}`;
  }
}

function inWords(ms: number): string {
  const minutes = Math.ceil(Math.max(ms, 0) / 60_000);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}
