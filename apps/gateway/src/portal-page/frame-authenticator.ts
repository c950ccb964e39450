import {
  Bitrix24Error,
  PortalClient,
  type PortalAccess,
  type TokenStore,
  unlessAborted,
} from '@relay/bitrix24';
import { isAuthorized } from '@relay/installs';
import { counter, waitAtMost } from '@relay/platform';
import {
  type KnownPortal,
  PortalCache,
  PortalClients,
  PortalError,
  type PortalRateLimiter,
  sourceOfPage,
  USER_AGENT,
} from '@relay/portals';
import { LRUCache } from 'lru-cache';
import { createHash } from 'node:crypto';
import pLimit, { type LimitFunction } from 'p-limit';
import { z } from 'zod';
import { RequestRejectedError } from '../http/request-rejected.filter.js';
import { RequestBudget } from './request-budget.js';

const checks = counter({
  name: 'relay_gateway_frame_checks_total',
  help: 'Checks of frame tokens at portals, by outcome: accepted, refused, failed; and limited, which were not made',
  labelNames: ['outcome'],
});
for (const outcome of ['accepted', 'refused', 'failed', 'limited']) checks.inc({ outcome }, 0);

/** What a request from the frame says about its user; nothing of it is believed. */
interface FrameClaim {
  memberId: string;
  accessToken: string;
  /** The client's, by which wrong tokens are counted. */
  address: string;
}

interface CheckedClaim extends FrameClaim {
  /** Whose token it was within the last hour. */
  knownUser: string | undefined;
}

/** A user of an installed portal, as the portal says. */
export interface FrameUser {
  portal: KnownPortal;
  userId: string;
  isAdministrator: boolean;
}

type Outcome =
  { isValid: true; userId: string; isAdministrator: boolean } | { isValid: false; reason: string };
type CheckResult = Outcome & {
  /** When the check began: of two that overlap the later one counts. */
  askedAtMs: number;
};

/** For this long an administrator who is none any more still reads what administrators read. Writes ask again. */
const ACCEPTED_MS = 2 * 60_000;
/** As long as a token lives, one that was right is not checked at the expense of those that nobody knows. */
const REMEMBERED_MS = 60 * 60_000;
const REFUSED_MS = 60_000;
const MAX_CHECK_RESULTS = 10_000;
/** `app.info` of our own pair: which application of the portal is ours. */
const APPLICATION_MS = 60 * 60_000;
const MAX_APPLICATIONS = 5_000;

/** A user waits in front of the page; also for the portal's limits. */
const TIMEOUT_MS = 10_000;
/** A portal that answers slowly keeps those of others from no check. */
const PORTAL_CONCURRENCY = 2;
const MAX_WAITING_OF_PORTAL = 20;
const CONCURRENCY = 40;
const MAX_WAITING = 100;
/** Longer than a responsive portal takes: a check that takes longer gives its slot to the next, and goes on beside it. */
const SLOT_MS = 1_000;
/** Each costs a socket. Beyond it the oldest ends. */
const MAX_SLOW = 64;
const MAX_RESPONSE_BYTES = 64 * 1024;

/** Wrong tokens of one address; a right one costs nothing. */
const ADDRESS_BURST = 20;
const ADDRESS_PER_SECOND = 1 / 6;
/**
 * Tokens at one portal that were not right before, of all addresses: a quarter of the two calls a second that it has. Those that
 * turn out to be right cost the same, or a portal that confirms every token would have them remembered without end.
 */
const PORTAL_BURST = 30;
const PORTAL_PER_SECOND = 1 / 2;
/** Writes of one user, whose token was right before: forged tokens, and other users, do not use them up. */
const USER_BURST = 10;
const USER_PER_SECOND = 1 / 5;
const MAX_KEYS = 10_000;

/** Printable ASCII; the documentation shows tokens of up to 71 characters. */
const TOKEN = /^[!-~]{16,2048}$/;

/** Bounded, because they are remembered, and users are in the log. */
const numericId = z.union([z.int().nonnegative().transform(String), z.string().regex(/^\d{1,20}$/)]);
const application = z.object({ ID: numericId, CODE: z.string().max(255) });
const profile = z.object({ ID: numericId, ADMIN: z.boolean().optional() });

/**
 * Proves the user of a request from the frame: the access token is sent to the portal whose `member_id` it claims, at the address
 * that is stored, and the portal says whose it is (`api-reference/common/users/profile.md`, `user-admin.md`). It must be a token of
 * our application: one that another application of the same portal holds is rejected (`api-reference/common/system/app-info.md`).
 *
 * A forged token costs the portal one check at most, and no more than the budgets allow; an unknown `member_id` costs none. Forged
 * tokens, and other portals, however slow, keep nobody out whose token was right before.
 */
export class FrameAuthenticator {
  private readonly checkResults = new LRUCache<string, CheckResult>({
    max: MAX_CHECK_RESULTS,
    ttl: REMEMBERED_MS,
  });
  private readonly applications = new LRUCache<string, string>({
    max: MAX_APPLICATIONS,
    ttl: APPLICATION_MS,
  });
  private readonly inFlight = new Map<string, Promise<CheckResult>>();
  private readonly slots = pLimit(CONCURRENCY);
  /** In the order in which they became slow. */
  private readonly slow = new Set<AbortController>();
  private readonly slotsOfPortal = new LRUCache<string, LimitFunction>({ max: MAX_KEYS });
  private readonly byAddress = new RequestBudget(ADDRESS_BURST, ADDRESS_PER_SECOND, MAX_KEYS);
  private readonly byPortal = new RequestBudget(PORTAL_BURST, PORTAL_PER_SECOND, MAX_KEYS);
  private readonly byUser = new RequestBudget(USER_BURST, USER_PER_SECOND, MAX_KEYS);

  constructor(
    private readonly cache: Pick<PortalCache, 'find' | 'expire'>,
    private readonly clients: PortalClients,
    private readonly rateLimiter: Pick<PortalRateLimiter, 'of'>,
    private readonly allowHosts: readonly string[],
    private readonly timeoutMs = TIMEOUT_MS,
  ) {}

  /**
   * @param isWrite the portal is asked now, whatever it said a minute ago
   * @throws RequestRejectedError 401 for an unknown portal and a wrong token, 429 for too many of them, 503 if it cannot be checked
   *   now; PortalStoreUnavailableError
   */
  async authenticate(claim: FrameClaim, { isWrite = false } = {}): Promise<FrameUser> {
    const { memberId, accessToken } = claim;
    if (!TOKEN.test(accessToken)) throw new RequestRejectedError(401, 'no-token');
    const portal = await this.cache.find(memberId);
    // An unknown portal and a wrong token get one answer.
    if (portal === undefined || portal.state === 'uninstalled' || portal.state === 'needs-webhook') {
      throw new RequestRejectedError(401, 'not-confirmed');
    }
    const key = keyOf(portal, accessToken);
    const known = this.checkResults.get(key);
    const isUsable =
      known !== undefined &&
      (!known.isValid || (!isWrite && performance.now() - known.askedAtMs < ACCEPTED_MS));
    const result = isUsable
      ? known
      : await this.ask(
          key,
          portal,
          { ...claim, knownUser: known?.isValid ? known.userId : undefined },
          isWrite,
        );
    if (!result.isValid) throw new RequestRejectedError(401, result.reason);
    const { userId, isAdministrator } = result;
    return { portal, userId, isAdministrator };
  }

  private async ask(
    key: string,
    portal: KnownPortal,
    claim: CheckedClaim,
    isWrite: boolean,
  ): Promise<CheckResult> {
    // Calls would fail without being sent, or prolong a block. Only whose token was right before is told why.
    if (!isAuthorized(portal.state) || portal.state === 'suspended') {
      const isProved = claim.knownUser !== undefined;
      throw new RequestRejectedError(503, isProved ? `portal-${portal.state}` : 'portal-unreachable');
    }
    // A check that began before the write must not answer for it.
    const running = isWrite ? undefined : this.inFlight.get(key);
    if (running) return running;
    const started = this.check(portal, claim, isWrite);
    if (isWrite) return await this.keep(key, started);
    const kept = this.keep(key, started).finally(() => this.inFlight.delete(key));
    this.inFlight.set(key, kept);
    return kept;
  }

  private async keep(key: string, checked: Promise<CheckResult>): Promise<CheckResult> {
    const result = await checked;
    const latest = this.checkResults.get(key);
    if (latest === undefined || latest.askedAtMs <= result.askedAtMs) {
      this.checkResults.set(key, result, { ttl: result.isValid ? REMEMBERED_MS : REFUSED_MS });
    }
    return result;
  }

  private async check(portal: KnownPortal, claim: CheckedClaim, isWrite: boolean): Promise<CheckResult> {
    const slots = this.slotsOf(portal);
    if (slots.pendingCount >= MAX_WAITING_OF_PORTAL || this.slots.pendingCount >= MAX_WAITING) {
      throw this.limited(503, 'busy');
    }
    const refund = this.pay(portal.memberId, claim, isWrite);
    const signal = AbortSignal.timeout(this.timeoutMs);
    let result: CheckResult;
    try {
      // Also what waits for a slot has an end.
      result = await unlessAborted(
        slots(() => this.inSlot((limited) => this.askPortal(portal, claim.accessToken, limited), signal)),
        signal,
      );
    } catch (error) {
      if (!signal.aborted && !(error instanceof Bitrix24Error) && !(error instanceof PortalError))
        throw error;
      checks.inc({ outcome: 'failed' });
      throw new RequestRejectedError(503, 'portal-unreachable', { cause: error });
    }
    checks.inc({ outcome: result.isValid ? 'accepted' : 'refused' });
    if (result.isValid) refund();
    return result;
  }

  /** A slot of all portals, which a slow one keeps for a while only. */
  private async inSlot(
    check: (signal: AbortSignal) => Promise<CheckResult>,
    signal: AbortSignal,
  ): Promise<CheckResult> {
    const { result } = await this.slots(async () => {
      const controller = new AbortController();
      const started = check(AbortSignal.any([signal, controller.signal]));
      const ended = started.then(
        () => true,
        () => true,
      );
      if (!(await waitAtMost(ended, SLOT_MS))) this.noteSlow(controller, ended);
      // Not the check itself, which the slot would wait for.
      return { result: started };
    });
    return result;
  }

  private noteSlow(controller: AbortController, ended: Promise<unknown>): void {
    const [oldest] = this.slow;
    if (this.slow.size >= MAX_SLOW && oldest) {
      this.slow.delete(oldest);
      oldest.abort(new Bitrix24Error('TIMEOUT'));
    }
    this.slow.add(controller);
    void ended.then(() => this.slow.delete(controller));
  }

  private slotsOf({ memberId }: KnownPortal): LimitFunction {
    const known = this.slotsOfPortal.get(memberId);
    if (known) return known;
    const slots = pLimit(PORTAL_CONCURRENCY);
    this.slotsOfPortal.set(memberId, slots);
    return slots;
  }

  /** @returns gives back what a token costs only if it is wrong. @throws RequestRejectedError 429 */
  private pay(memberId: string, { address, knownUser }: CheckedClaim, isWrite: boolean): () => void {
    if (knownUser !== undefined) {
      const user = `${memberId} ${knownUser}`;
      if (!this.byUser.take(user)) throw this.limited(429, 'too-many-checks');
      // A read asks once in two minutes; writes ask as often as a user likes.
      return () => {
        if (!isWrite) this.byUser.refund(user);
      };
    }
    const source = sourceOfPage(address);
    if (!this.byAddress.take(source)) throw this.limited(429, 'too-many-wrong-tokens');
    if (!this.byPortal.take(memberId)) {
      this.byAddress.refund(source);
      throw this.limited(429, 'too-many-checks');
    }
    return () => this.byAddress.refund(source);
  }

  private limited(status: 429 | 503, reason: string): RequestRejectedError {
    checks.inc({ outcome: 'limited' });
    return new RequestRejectedError(status, reason);
  }

  /** @throws Bitrix24Error without a decision; PortalError; the signal's reason */
  private async askPortal(
    portal: KnownPortal,
    accessToken: string,
    signal: AbortSignal,
  ): Promise<CheckResult> {
    signal.throwIfAborted();
    const askedAtMs = performance.now();
    try {
      return { ...(await this.judge(portal, accessToken, signal)), askedAtMs };
    } catch (error) {
      if (!(error instanceof Bitrix24Error) || error.code !== 'REDIRECT') throw error;
      const renamed = await this.relocate(portal, signal);
      if (renamed === undefined) throw error;
      return { ...(await this.judge(renamed, accessToken, signal)), askedAtMs };
    }
  }

  /**
   * A portal that was renamed answers with a redirect at its former address. A call with our own pair has the OAuth server say where it
   * is now, and nothing else may have been called there yet.
   * @returns undefined if it is where it was. @throws as `askPortal`
   */
  private async relocate(
    { memberId, clientEndpoint }: KnownPortal,
    signal: AbortSignal,
  ): Promise<KnownPortal | undefined> {
    await this.askOwnApplication(memberId, signal);
    this.cache.expire(memberId);
    const portal = await this.cache.find(memberId, { fresh: true });
    return portal?.clientEndpoint === clientEndpoint ? undefined : portal;
  }

  private async judge(portal: KnownPortal, accessToken: string, signal: AbortSignal): Promise<Outcome> {
    try {
      const { user, admin, app } = await this.clientOf(portal, accessToken).batch(
        { user: { method: 'profile' }, admin: { method: 'user.admin' }, app: { method: 'app.info' } },
        { signal, repeatable: true },
      );
      if (!user?.ok) throw user?.error ?? new Bitrix24Error('BAD_ANSWER', { memberId: portal.memberId });
      if (!app?.ok) throw app?.error ?? new Bitrix24Error('BAD_ANSWER', { memberId: portal.memberId });
      const [{ ID: userId, ADMIN }, theirs] = [
        profile.parse(user.result),
        idOf(application.parse(app.result)),
      ];
      if (theirs !== (await this.ownApplication(portal, signal)))
        return { isValid: false, reason: 'not-confirmed' };
      // A portal may not have this method.
      const isAdministrator = admin?.ok ? admin.result === true : ADMIN === true;
      return { isValid: true, userId, isAdministrator };
    } catch (error) {
      if (error instanceof z.ZodError) throw new Bitrix24Error('BAD_ANSWER', { memberId: portal.memberId });
      if (!(error instanceof Bitrix24Error)) throw error;
      if (error.errorClass === 'expired') return { isValid: false, reason: 'token-expired' };
      if (error.errorClass === 'authorization') return { isValid: false, reason: 'not-confirmed' };
      throw error;
    }
  }

  /** By our own pair, which an administrator of the portal has given us. */
  private async ownApplication(
    { memberId, clientEndpoint }: KnownPortal,
    signal: AbortSignal,
  ): Promise<string> {
    const key = `${memberId} ${clientEndpoint}`;
    const known = this.applications.get(key);
    if (known !== undefined) return known;
    const id = await this.askOwnApplication(memberId, signal);
    this.applications.set(key, id);
    return id;
  }

  private async askOwnApplication(memberId: string, signal: AbortSignal): Promise<string> {
    const { result } = await this.clients
      .for(memberId)
      .call('app.info', {}, { signal, maxResponseBytes: MAX_RESPONSE_BYTES })
      .catch(asOurs);
    return idOf(application.parse(result));
  }

  /** Not the portal's own client: the outcome of a stranger's token says nothing about the pair that is stored. */
  private clientOf({ memberId, clientEndpoint }: KnownPortal, accessToken: string): PortalClient {
    const access: PortalAccess = { kind: 'oauth', endpoint: clientEndpoint, accessToken };
    const tokens: TokenStore = {
      access: () => Promise.resolve(access),
      // The frame has a newer one; here it ends with the first answer.
      refresh: () => Promise.reject(new Bitrix24Error('EXPIRED_TOKEN', { memberId, httpStatus: 401 })),
    };
    return new PortalClient({
      memberId,
      tokens,
      timeoutMs: this.timeoutMs,
      maxResponseBytes: MAX_RESPONSE_BYTES,
      allowHosts: this.allowHosts,
      userAgent: USER_AGENT,
      spanAttributes: { 'relay.member_id': memberId },
      rateLimiter: this.rateLimiter.of(memberId),
    });
  }
}

/** What our own pair is rejected for is not the user's fault. */
function asOurs(error: unknown): never {
  if (!(error instanceof Bitrix24Error)) throw error;
  throw new Bitrix24Error('CONNECTION_ERROR', { errorClass: 'unavailable', cause: error });
}

function idOf({ ID, CODE }: z.output<typeof application>): string {
  return JSON.stringify([ID, CODE]);
}

/** The token is a secret: its hash is kept. Another address of the portal is asked again. */
function keyOf({ memberId, clientEndpoint }: KnownPortal, accessToken: string): string {
  return createHash('sha256')
    .update(JSON.stringify([memberId, clientEndpoint, accessToken]))
    .digest('base64');
}
