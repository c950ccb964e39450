import {
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import { BIND_JOB, CONTROL_PLANE } from '@relay/installs';
import { JobRunner, PortalJobs, type JobRun } from '@relay/jobs';
import { LeaderLease, LOG, type Log, PeriodicJob } from '@relay/platform';
import {
  EventBindingAttempts,
  ClaimLostError,
  DriftChecks,
  EventBindings,
  OFFLINE_HANDLER,
  OfflineBindings,
  PortalCache,
  PortalClients,
  PortalRepository,
  Subscriptions,
} from '@relay/portals';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import type { OfflineHandler, Priority } from '@relay/bitrix24';
import { EventBinder, type HandlerChanges, noChanges, unbindStaleHandlers } from './event-binder.js';
import { HANDLER_URL, HandlerComparison, wantedNames } from './handler-comparison.js';
import { reconcileOfflineHandlers } from './offline-binder.js';
import { EventBindingQueue } from './event-binding-queue.js';

/** Of the jobs that compare the handlers of portals: apart from `CONTROL_PLANE`, so that none keeps an install waiting. */
export const COMPARISONS = 'control-plane-comparisons';
export const COMPARE_JOB = 'compare';

const SWEEP_EVERY_MS = 60_000;
/** A comparison is one request, and nobody waits for it. */
const COMPARE_CONCURRENCY = 4;
/** A fresh install waits for this at most, before its job begins. */
const POLL_MS = 300;
/** As many as the queue runs side by side, slow ones included. */
const CONCURRENCY = 36;
/** The queue begins the newest fresh portal first, so it must know of many. */
const RESERVED_FOR_FRESH = 64;
/**
 * Another process binds the portal's events, or died in the middle of it: the job looks again when its claim expires,
 * sooner than a sweep would.
 */
class BindingInProgressError extends Error {
  override readonly name = 'BindingInProgressError';
  readonly recovery = 'wait';

  constructor(readonly retryAfterMs: number) {
    super('another process binds the events of this portal, or ended in the middle of it');
  }
}

/** One round at a portal. */
interface Round {
  signal: AbortSignal;
  priority: Priority;
  changes: HandlerChanges;
}

/** Portals of one statement. */
const PAGE_SIZE = 1_000;

/** api-reference/common/system/app-info.md */
const applicationInfo = z.object({ LANGUAGE_ID: z.string().regex(/^[A-Za-z_-]{2,16}$/) });

/** A slow portal keeps a slot of the bindings of others no longer than this. */
const LANGUAGE_TIMEOUT_MS = 5_000;

/** The portal's language, if the install does not contain it: names are written by its rules. */
@Injectable()
export class PortalLanguages {
  constructor(
    private readonly clients: PortalClients,
    private readonly portalRepository: PortalRepository,
    @Inject(LOG) private readonly log: Log,
  ) {}

  /** Asks the portal and stores the language; without a response the stored one stays. */
  async learn(memberId: string, signal: AbortSignal): Promise<void> {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(LANGUAGE_TIMEOUT_MS)]);
    try {
      const { result } = await this.clients.for(memberId).call('app.info', {}, { signal: limited });
      const info = applicationInfo.safeParse(result);
      if (info.success) await this.portalRepository.setLanguage(memberId, info.data.LANGUAGE_ID);
    } catch (error) {
      this.log.warn(
        { event: 'portal.language.unknown', memberId, err: error },
        "the portal's language could not be read",
      );
    }
  }
}

/**
 * Makes every installed portal send the events that consumers recorded to the address of `PUBLIC_URL`: after an
 * install, when a consumer records a new event, when the address changed, and for portals that are due again. Once a day it
 * asks each portal for what is bound there, and repairs differences. Each portal is a job, which any process of the
 * control plane takes; the sweep that finds portals runs in its leader.
 */
@Injectable()
export class EventBindingReconciler
  implements OnApplicationBootstrap, OnModuleDestroy, OnApplicationShutdown
{
  private readonly sweeping: PeriodicJob;
  private readonly queue: EventBindingQueue;
  private readonly runner: JobRunner;
  private readonly comparer: JobRunner;
  /** Resolves when the address is stored as ours, before anything is bound to it. */
  private addressStored: Promise<void> | undefined;
  private unsubscribe: (() => void)[] = [];
  private stopped: Promise<unknown> | undefined;

  constructor(
    private readonly subscriptions: Subscriptions,
    private readonly bindings: EventBindings,
    private readonly offline: OfflineBindings,
    private readonly attempts: EventBindingAttempts,
    private readonly checks: DriftChecks,
    private readonly comparison: HandlerComparison,
    private readonly clients: PortalClients,
    private readonly portalCache: PortalCache,
    private readonly languages: PortalLanguages,
    private readonly jobs: PortalJobs,
    dataSource: DataSource,
    private readonly lease: LeaderLease,
    @Inject(HANDLER_URL) private readonly handlerUrl: string,
    @Inject(LOG) private readonly log: Log,
  ) {
    this.queue = new EventBindingQueue({ run: (memberId, signal) => this.reconcile(memberId, signal) });
    this.runner = new JobRunner({
      dataSource,
      consumer: CONTROL_PLANE,
      log,
      handlers: { [BIND_JOB]: (run) => this.run(run) },
      concurrency: CONCURRENCY,
      reserved: RESERVED_FOR_FRESH,
      order: 'lifo',
      restartOnRequest: true,
      pollMs: POLL_MS,
    });
    this.comparer = new JobRunner({
      dataSource,
      consumer: COMPARISONS,
      log,
      handlers: { [COMPARE_JOB]: (run) => this.compare(run) },
      concurrency: COMPARE_CONCURRENCY,
      reserved: COMPARE_CONCURRENCY,
      restartOnRequest: true,
    });
    this.sweeping = new PeriodicJob('event bindings', SWEEP_EVERY_MS, log, () => this.sweep());
  }

  onApplicationBootstrap(): void {
    this.unsubscribe = [
      this.subscriptions.onChange(() => this.sweeping.trigger()),
      this.lease.onChange((isLeader) => isLeader && this.sweeping.trigger()),
    ];
    this.runner.start();
    this.comparer.start();
    this.sweeping.start();
  }

  /** With thousands of portals this takes long; a process that is killed meanwhile can lose a token pair. */
  onModuleDestroy(): void {
    this.stopped = Promise.all([this.queue.stop(), this.runner.stop(), this.comparer.stop()]);
  }

  async onApplicationShutdown(): Promise<void> {
    for (const unsubscribe of this.unsubscribe) unsubscribe();
    await this.sweeping.stop();
    await this.stopped;
  }

  private async sweep(): Promise<void> {
    if (!this.lease.isLeader()) return;
    const wanted = await wantedNames(this.subscriptions);
    const due = new Set([
      ...(await this.bindings.missing(wanted, this.handlerUrl)).keys(),
      ...(await this.bindings.unwanted(wanted, this.handlerUrl)).keys(),
      ...(await this.offline.due(wanted)),
    ]);
    const memberIds = [...due];
    for (let from = 0; from < memberIds.length; from += PAGE_SIZE) {
      await this.jobs.requestAll(CONTROL_PLANE, memberIds.slice(from, from + PAGE_SIZE), BIND_JOB);
    }
    if (memberIds.length > 0) this.runner.wake();
    const compared = await this.checks.takeDue(SWEEP_EVERY_MS);
    await this.jobs.requestAll(COMPARISONS, compared, COMPARE_JOB);
  }

  /** What fails is recorded as an attempt (`EventBindingAttempts`), which decides when a sweep finds the portal again. */
  private async run({ job, signal }: JobRun): Promise<Record<string, unknown>> {
    const { memberId, isInteractive } = job;
    await this.queue.push(memberId, { isFresh: isInteractive, signal });
    // Not done: another process takes it, or it starts anew.
    signal.throwIfAborted();
    const retryAfterMs = await this.attempts.claimedForMs(memberId, 'bind');
    if (retryAfterMs !== undefined) throw new BindingInProgressError(retryAfterMs);
    if (isInteractive) await this.learnLanguage(memberId, signal);
    signal.throwIfAborted();
    return {};
  }

  /**
   * Asks the portal for its handlers, forgets what was recorded in error, and makes them equal to what is wanted.
   * @returns what was found before, and what was done
   */
  private async compare({ job, signal }: JobRun): Promise<Record<string, unknown>> {
    const { memberId, isInteractive } = job;
    const priority = isInteractive ? 'interactive' : 'background';
    const { diff, counts, lost } = await this.comparison.compare(memberId, { priority, signal });
    signal.throwIfAborted();
    await this.checks.save(memberId, counts);
    const { unreadable } = diff;
    const changes = noChanges();
    if (counts.missing + counts.surplus === 0) return { ...counts, unreadable, ...changes };
    this.log.warn(
      { event: 'bindings.drift.found', memberId, ...counts, unreadable },
      'the handlers of a portal are not those that are wanted, and are put right',
    );
    await this.bindings.forgetLost(memberId, lost.online);
    await this.offline.forgetLost(memberId, lost.offline);
    // The operator may know that the reason of a failure is gone.
    if (isInteractive) await this.attempts.wake(memberId);
    const round = { signal, priority, changes } as const;
    await this.bind(memberId, round, diff.surplus.online.length > 0);
    await this.unbind(memberId, round);
    await this.bindOffline(memberId, round, diff.surplus.offline);
    const retryAfterMs = await this.attempts.claimedForMs(memberId, 'bind');
    if (retryAfterMs !== undefined) throw new BindingInProgressError(retryAfterMs);
    return { ...counts, unreadable, ...changes };
  }

  /** An install may not contain it. */
  private async learnLanguage(memberId: string, signal: AbortSignal): Promise<void> {
    const portal = await this.portalCache.find(memberId, { fresh: true });
    if (portal && portal.language === null) await this.languages.learn(memberId, signal);
  }

  private async reconcile(memberId: string, signal: AbortSignal): Promise<void> {
    const round = { signal, priority: 'interactive', changes: noChanges() } as const;
    await this.bind(memberId, round).catch((error: unknown) => {
      // The process that holds the claim binds them.
      if (error instanceof ClaimLostError) return;
      this.log.warn(
        { event: 'bindings.bind.failed', memberId, err: error },
        'events could not be bound, will be tried again',
      );
    });
    if (signal.aborted) return;
    await this.unbind(memberId, round).catch((error: unknown) => {
      if (error instanceof ClaimLostError) return;
      this.log.warn(
        { event: 'bindings.unbind.failed', memberId, err: error },
        'events could not be unbound, will be tried again',
      );
    });
    if (signal.aborted) return;
    await this.bindOffline(memberId, round).catch((error: unknown) => {
      if (error instanceof ClaimLostError) return;
      this.log.warn(
        { event: 'bindings.offline.failed', memberId, err: error },
        'the handlers of the offline queue could not be changed, will be tried again',
      );
    });
  }

  private async bindOffline(
    memberId: string,
    { signal, priority, changes }: Round,
    surplus: readonly OfflineHandler[] = [],
  ): Promise<void> {
    const { offline: bindings, log } = this;
    const plan = await bindings.plan(memberId, await wantedNames(this.subscriptions));
    const changed = plan.missing.length + plan.unwanted.length + surplus.length;
    if (changed === 0 && !plan.isOtherConnector) return;
    await this.attempts.attempt(memberId, 'offline', OFFLINE_HANDLER, async () => {
      const client = this.clients.for(memberId, { priority });
      await reconcileOfflineHandlers({ bindings, client, log, signal, changes }, plan, surplus);
    });
  }

  private async bind(memberId: string, round: Round, isSurplusKnown = false): Promise<void> {
    const { bindings, handlerUrl, log } = this;
    const { signal, priority, changes } = round;
    const isAsked = await this.attempts.attempt(memberId, 'bind', handlerUrl, async (claim) => {
      const client = this.clients.for(memberId, { priority });
      await this.storeAddress();
      const wanted = await this.comparison.wantedAt(memberId);
      const parts = { bindings, handlerUrl, log, client, claim, signal, wanted, changes };
      await new EventBinder(parts).bind(await this.missingAt(memberId), { isSurplusKnown });
    });
    // A sweep for newly recorded events skipped a portal whose binding was running.
    if (isAsked && (await this.missingAt(memberId)).length > 0) {
      await this.jobs.request(CONTROL_PLANE, memberId, BIND_JOB);
    }
  }

  private async storeAddress(): Promise<void> {
    this.addressStored ??= this.checks.addAddress(this.handlerUrl);
    try {
      await this.addressStored;
    } catch (error) {
      this.addressStored = undefined;
      throw error;
    }
  }

  private async missingAt(memberId: string): Promise<string[]> {
    const wanted = await wantedNames(this.subscriptions);
    return (await this.bindings.missing(wanted, this.handlerUrl, memberId)).get(memberId) ?? [];
  }

  /** A stale handler costs the portal a call for every event, and us nothing: its failures block nothing. */
  private async unbind(memberId: string, { signal, priority, changes }: Round): Promise<void> {
    const { bindings, handlerUrl, log } = this;
    const wanted = await wantedNames(this.subscriptions);
    const names = (await bindings.unwanted(wanted, handlerUrl, memberId)).get(memberId) ?? [];
    if (names.length === 0) return;
    await this.attempts.attempt(memberId, 'unbind', handlerUrl, async () => {
      const client = this.clients.for(memberId, { priority });
      await unbindStaleHandlers({ bindings, handlerUrl, log, client, signal, changes }, names);
    });
  }
}
