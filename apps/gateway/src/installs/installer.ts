import { Inject, Injectable } from '@nestjs/common';
import { OAuthError, type TokenGrant } from '@relay/bitrix24';
import type { InstallClaim } from '@relay/events';
import { counter, type Log } from '@relay/platform';
import {
  type Admission,
  ExchangeBudget,
  PendingInstalls,
  PortalCache,
  PortalError,
  PortalRepository,
} from '@relay/portals';
import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { RequestRejectedError } from '../http/request-rejected-error.js';
import { LOG } from '../tokens.js';
import { InstallVerifier } from './install-verifier.js';
import { InstallApplier } from './install-applier.js';
import { InstallIncompleteError } from './install-incomplete-error.js';
import { knowsToken } from './portal-status.js';
import { works, type InstallDecision, type InstallSource } from './install-policy.js';

const installs = counter({
  name: 'relay_gateway_installs_total',
  help: 'Claimed installs, by outcome.',
  labelNames: ['outcome'],
});

/** Each waits for the OAuth server, and for the portal. */
const CLAIMS_AT_ONCE = 8;
/** For room in the budget of exchanges. */
const TIMEOUT_MS = 2_000;
const PAUSE_MS = 70;

/**
 * An install is a claim until the OAuth server has confirmed it: the claim's refresh token is exchanged there, and
 * the answer's member must be the one claimed. The answer's endpoint is the one stored (settings/oauth/).
 */
@Injectable()
export class Installer {
  /** By what was claimed: a page that is loaded twice, or an event sent twice, brings one proof, which works once. */
  private readonly inHand = new Map<string, Promise<InstallDecision>>();

  constructor(
    @Inject(LOG) private readonly log: Log,
    private readonly portalRepository: PortalRepository,
    private readonly portalCache: PortalCache,
    private readonly pending: PendingInstalls,
    private readonly budget: ExchangeBudget,
    private readonly proof: InstallVerifier,
    private readonly settlement: InstallApplier,
  ) {}

  /**
   * @returns what became of it; `nothing` where it was known already
   * @throws Refusal 401 when the claim is not confirmed, 503 when it cannot be checked now; it is then kept, sealed,
   * and tried again
   */
  async install(claim: InstallClaim, source: string): Promise<InstallDecision> {
    return this.once(claim, () => this.installOrKeep(claim, source));
  }

  /**
   * For the application's page: what cannot be checked now is not kept, for the page is opened again, with another pair.
   * @throws Refusal 401 when the claim is not confirmed or its user is no administrator, 503 when it cannot be checked now
   */
  async authorize(claim: InstallClaim, source: string): Promise<void> {
    await this.once(claim, async () => {
      if (this.inHand.size > CLAIMS_AT_ONCE) throw new RequestRejectedError(503, 'too-many-installs');
      await this.portalRepository.requireDatabase(claim.memberId);
      const admission = await this.room(claim, source);
      if (admission === 'refused-before') return this.repeated(claim);
      if (admission !== 'admitted') throw new RequestRejectedError(503, 'too-many-installs');
      try {
        return await this.confirm(claim, 'app-page');
      } catch (error) {
        if (error instanceof OAuthError)
          throw new RequestRejectedError(503, reasonOf(error), { cause: error });
        throw error instanceof InstallIncompleteError
          ? new RequestRejectedError(503, reasonOf(error.cause), { cause: error })
          : error;
      }
    });
  }

  /**
   * @throws OAuthError when there is no verdict: the server is away, or refuses our keys; Refusal 401 when it does not
   *   confirm; InstallIncompleteError when it does, and what has to follow failed
   */
  async confirm(claim: InstallClaim, way: InstallSource = 'install'): Promise<InstallDecision> {
    const before = await this.portalCache.find(claim.memberId, { fresh: true });
    let grant: TokenGrant;
    try {
      grant = await this.proof.exchange(claim);
    } catch (error) {
      if (!(error instanceof RequestRejectedError) || error.status !== 401) throw error;
      if (isAboutToken(error)) await this.budget.noteRefused(claim.refreshToken);
      return this.repeated(claim, error);
    }
    let verdict: InstallDecision;
    try {
      verdict = await this.settlement.apply(way, grant, claim, before);
    } catch (error) {
      installs.inc({ outcome: error instanceof RequestRejectedError ? 'refused' : 'unsettled' });
      throw error instanceof RequestRejectedError ? error : new InstallIncompleteError(claim, grant, error);
    }
    installs.inc({ outcome: 'confirmed' });
    return verdict;
  }

  private async installOrKeep(claim: InstallClaim, source: string): Promise<InstallDecision> {
    if (!this.proof.isPossible) return this.keep(claim, { source, reason: 'no-client-id' });
    const inTurn = { source, isDue: true, reason: 'too-many-installs' };
    if (this.inHand.size > CLAIMS_AT_ONCE) return this.keep(claim, inTurn);
    // The exchange uses the refresh token up: without a database to keep its answer it must not begin.
    await this.portalRepository.requireDatabase(claim.memberId);
    const admission = await this.room(claim, source);
    if (admission === 'refused-before') return this.repeated(claim);
    if (admission === 'too-many') return this.keep(claim, inTurn);
    // Whoever sends so many gets no place among those that wait, either.
    if (admission === 'too-many-of-source') throw new RequestRejectedError(503, 'too-many-installs');
    try {
      return await this.confirm(claim);
    } catch (error) {
      if (error instanceof InstallIncompleteError) {
        return this.keep(error.claim, { source, reason: reasonOf(error.cause), cause: error });
      }
      if (error instanceof OAuthError) {
        return this.keep(claim, { source, reason: reasonOf(error), cause: error });
      }
      throw error;
    }
  }

  private async keep(
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
    throw new RequestRejectedError(503, reason, { cause });
  }

  /** Several installs that follow each other are slowed down; where others wait already, it is their turn. */
  private async room(claim: InstallClaim, source: string): Promise<Admission> {
    const untilMs = performance.now() + TIMEOUT_MS;
    for (;;) {
      const admission = await this.budget.admit({ ...claim, source });
      if (admission !== 'too-many' || performance.now() > untilMs || (await this.pending.hasDue())) {
        return admission;
      }
      await pause(PAUSE_MS);
    }
  }

  /** A proof that is worth nothing any more. @throws Refusal 401 unless it was used up here */
  private async repeated(
    claim: InstallClaim,
    refusal = new RequestRejectedError(401, 'not-confirmed'),
  ): Promise<InstallDecision> {
    if (await this.wasConfirmed(claim)) return 'nothing';
    installs.inc({ outcome: 'refused' });
    throw refusal;
  }

  /**
   * A proof that was used up here: the page was loaded again, or the install told by two ways. Nothing changes; who
   * knows the application token may also send events.
   */
  private async wasConfirmed({ memberId, applicationToken = '' }: InstallClaim): Promise<boolean> {
    const portal = await this.portalCache.find(memberId, { fresh: true });
    const isSo = portal !== undefined && works(portal.state) && knowsToken(portal, applicationToken);
    if (isSo) {
      installs.inc({ outcome: 'repeated' });
      this.log.info({ memberId }, 'an install came once more');
    }
    return isSo;
  }

  /** Whoever posts the same at the same time gets the same answer. */
  private async once(claim: InstallClaim, work: () => Promise<InstallDecision>): Promise<InstallDecision> {
    const { memberId, refreshToken, applicationToken } = claim;
    const key = createHash('sha256')
      .update(JSON.stringify([memberId, refreshToken, applicationToken]))
      .digest('hex');
    const running = this.inHand.get(key);
    if (running !== undefined) return running;
    const started = Promise.resolve()
      .then(work)
      .finally(() => this.inHand.delete(key));
    this.inHand.set(key, started);
    return started;
  }
}

/** Not such as an unpaid licence, which may be paid the next minute. A pair of another portal is used up. */
function isAboutToken({ cause }: RequestRejectedError): boolean {
  return !(cause instanceof OAuthError) || cause.errorClass === 'authorization';
}

function reasonOf(error: unknown): string {
  if (error instanceof OAuthError) return error.unreachable ? 'oauth-unreachable' : 'keys-refused';
  return error instanceof PortalError ? error.code.toLowerCase().replaceAll('_', '-') : 'not-finished';
}
