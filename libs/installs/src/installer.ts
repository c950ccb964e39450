import { OAuthError, type TokenGrant } from '@relay/bitrix24';
import type { InstallClaim } from '@relay/events';
import { counter, type Log } from '@relay/platform';
import {
  type Admission,
  TokenRequestBudget,
  PendingInstalls,
  PortalCache,
  PortalError,
  PortalRepository,
} from '@relay/portals';
import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import {
  InstallIncompleteError,
  InstallRejectedError,
  knowsToken,
  isAuthorized,
  type InstallDecision,
  type InstallSource,
} from './install-policy.js';
import { InstallVerifier } from './install-verifier.js';
import { InstallApplier } from './install-applier.js';

const installs = counter({
  name: 'relay_gateway_installs_total',
  help: 'Claimed installs, by outcome.',
  labelNames: ['outcome'],
});

/** Each worker waits for the OAuth server, and for the portal. */
const MAX_CLAIMS_IN_FLIGHT = 8;
/** The wait for a token of the shared budget. */
const TIMEOUT_MS = 2_000;
const PAUSE_MS = 70;

/**
 * An install is a claim until the OAuth server has confirmed it: its refresh token is exchanged there, and
 * the `member_id` of the response must be the claimed one. The endpoint of the response is stored (settings/oauth/).
 */
export class Installer {
  /** By claim: a page that is loaded twice, or an event sent twice, has one refresh token, which works once. */
  private readonly inFlight = new Map<string, Promise<InstallDecision>>();

  constructor(
    private readonly log: Log,
    private readonly portalRepository: PortalRepository,
    private readonly portalCache: PortalCache,
    private readonly pending: PendingInstalls,
    private readonly budget: TokenRequestBudget,
    private readonly verifier: InstallVerifier,
    private readonly applier: InstallApplier,
  ) {}

  /**
   * @returns the applied action; `nothing` if the install was known already
   * @throws InstallRejectedError 401 if the claim is not confirmed, 503 if it cannot be checked now; the claim is then
   * stored, encrypted, and tried again
   */
  async install(claim: InstallClaim, source: string): Promise<InstallDecision> {
    return this.shareResult(claim, () => this.installOrStore(claim, source));
  }

  /**
   * For the application's page: a claim that cannot be checked now is not stored, since the next opening brings a new pair.
   * @throws InstallRejectedError 401 if not confirmed or not an administrator's, 503 if it cannot be checked now
   */
  async authorize(claim: InstallClaim, source: string): Promise<void> {
    await this.shareResult(claim, async () => {
      if (this.inFlight.size > MAX_CLAIMS_IN_FLIGHT) throw new InstallRejectedError(503, 'too-many-installs');
      await this.portalRepository.requireDatabase(claim.memberId);
      const admission = await this.awaitAdmission(claim, source);
      if (admission === 'rejected-before') return this.acceptRepeated(claim);
      if (admission !== 'admitted') throw new InstallRejectedError(503, 'too-many-installs');
      try {
        return await this.confirm(claim, 'app-page');
      } catch (error) {
        if (error instanceof OAuthError)
          throw new InstallRejectedError(503, reasonOf(error), { cause: error });
        throw error instanceof InstallIncompleteError
          ? new InstallRejectedError(503, reasonOf(error.cause), { cause: error })
          : error;
      }
    });
  }

  /**
   * @throws OAuthError without a decision: the server is down, or rejects our keys; InstallRejectedError 401 if it does not
   *   confirm; InstallIncompleteError if it does, and a later step failed
   */
  async confirm(claim: InstallClaim, from: InstallSource = 'install'): Promise<InstallDecision> {
    const before = await this.portalCache.find(claim.memberId, { fresh: true });
    let grant: TokenGrant;
    try {
      grant = await this.verifier.exchange(claim);
    } catch (error) {
      if (!(error instanceof InstallRejectedError) || error.status !== 401) throw error;
      if (isAboutToken(error)) await this.budget.noteRejected(claim.refreshToken);
      return this.acceptRepeated(claim, error);
    }
    let decision: InstallDecision;
    try {
      decision = await this.applier.apply(from, grant, claim, before);
    } catch (error) {
      installs.inc({ outcome: error instanceof InstallRejectedError ? 'refused' : 'unsettled' });
      throw error instanceof InstallRejectedError ? error : new InstallIncompleteError(claim, grant, error);
    }
    installs.inc({ outcome: 'confirmed' });
    return decision;
  }

  private async installOrStore(claim: InstallClaim, source: string): Promise<InstallDecision> {
    if (!this.verifier.isPossible) return this.storePending(claim, { source, reason: 'no-client-id' });
    const queued = { source, isDue: true, reason: 'too-many-installs' };
    if (this.inFlight.size > MAX_CLAIMS_IN_FLIGHT) return this.storePending(claim, queued);
    // The token request consumes the refresh token, so it must not begin without a database to store the response.
    await this.portalRepository.requireDatabase(claim.memberId);
    const admission = await this.awaitAdmission(claim, source);
    if (admission === 'rejected-before') return this.acceptRepeated(claim);
    if (admission === 'too-many') return this.storePending(claim, queued);
    // A source with so many claims gets no entry in the pending installs either.
    if (admission === 'too-many-of-source') throw new InstallRejectedError(503, 'too-many-installs');
    try {
      return await this.confirm(claim);
    } catch (error) {
      if (error instanceof InstallIncompleteError) {
        return this.storePending(error.claim, { source, reason: reasonOf(error.cause), cause: error });
      }
      if (error instanceof OAuthError) {
        return this.storePending(claim, { source, reason: reasonOf(error), cause: error });
      }
      throw error;
    }
  }

  private async storePending(
    claim: InstallClaim,
    {
      source,
      isDue = false,
      reason,
      cause,
    }: { source: string; isDue?: boolean; reason: string; cause?: Error },
  ): Promise<never> {
    await this.pending.keep(claim, { source, isDue });
    installs.inc({ outcome: 'kept' });
    throw new InstallRejectedError(503, reason, { cause });
  }

  /** Consecutive installs are slowed down; if others wait already, this one waits behind them. */
  private async awaitAdmission(claim: InstallClaim, source: string): Promise<Admission> {
    const untilMs = performance.now() + TIMEOUT_MS;
    for (;;) {
      const admission = await this.budget.admit({ ...claim, source });
      if (admission !== 'too-many' || performance.now() > untilMs || (await this.pending.hasDue())) {
        return admission;
      }
      await pause(PAUSE_MS);
    }
  }

  /** A consumed or invalid refresh token. @throws InstallRejectedError 401 unless it was consumed here */
  private async acceptRepeated(
    claim: InstallClaim,
    rejection = new InstallRejectedError(401, 'not-confirmed'),
  ): Promise<InstallDecision> {
    if (await this.wasConfirmed(claim)) return 'nothing';
    installs.inc({ outcome: 'refused' });
    throw rejection;
  }

  /**
   * A refresh token that was consumed here: the page was loaded again, or the install came twice. Nothing changes; a
   * sender who knows the application token may send events anyway.
   */
  private async wasConfirmed({ memberId, applicationToken = '' }: InstallClaim): Promise<boolean> {
    const portal = await this.portalCache.find(memberId, { fresh: true });
    const isSo = portal !== undefined && isAuthorized(portal.state) && knowsToken(portal, applicationToken);
    if (isSo) {
      installs.inc({ outcome: 'repeated' });
      this.log.info({ memberId }, 'an install was repeated and changes nothing');
    }
    return isSo;
  }

  /** Identical claims at the same time share one result. */
  private async shareResult(
    claim: InstallClaim,
    work: () => Promise<InstallDecision>,
  ): Promise<InstallDecision> {
    const { memberId, refreshToken, applicationToken } = claim;
    const key = createHash('sha256')
      .update(JSON.stringify([memberId, refreshToken, applicationToken]))
      .digest('hex');
    const running = this.inFlight.get(key);
    if (running !== undefined) return running;
    const started = Promise.resolve()
      .then(work)
      .finally(() => this.inFlight.delete(key));
    this.inFlight.set(key, started);
    return started;
  }
}

/** Excludes errors such as an unpaid licence, which may be paid soon. A pair of another portal is consumed. */
function isAboutToken({ cause }: InstallRejectedError): boolean {
  return !(cause instanceof OAuthError) || cause.errorClass === 'authorization';
}

function reasonOf(error: unknown): string {
  if (error instanceof OAuthError) return error.unreachable ? 'oauth-unreachable' : 'keys-refused';
  return error instanceof PortalError ? error.code.toLowerCase().replaceAll('_', '-') : 'not-finished';
}
