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
  BindingAttempts,
  ClaimLostError,
  EventBindings,
  PortalCache,
  PortalClients,
  PortalRepository,
  Subscriptions,
} from '@relay/portals';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import { BindingRound, unbindStaleHandlers } from './binding-round.js';
import { PortalQueue } from './portal-queue.js';

/** Injection token of the address that the handlers are bound to. */
export const HANDLER_URL = Symbol('HandlerUrl');

/** Our own events: without them nobody would notice that a portal uninstalled, or dropped our handlers. */
const OWN_EVENTS = ['ONAPPUNINSTALL', 'ONAPPUPDATE', 'ONAPPTEST'];
const SWEEP_EVERY_MS = 60_000;
/** A fresh install waits for this at most, before its job begins. */
const POLL_MS = 300;
/** As many as the queue runs side by side, slow ones included. */
const CONCURRENCY = 36;
/** The queue begins the newest fresh portal first, so it must know of many. */
const RESERVED_FOR_FRESH = 64;
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
        "the portal's language could not be asked",
      );
    }
  }
}

/**
 * Makes every installed portal send the events that consumers recorded to the address of `PUBLIC_URL`: after an
 * install, when a consumer records a new event, when the address changed, and for portals that are due again. Each
 * portal is a job, which any process of the control plane takes; the sweep that finds portals runs in its leader.
 */
@Injectable()
export class EventBindingReconciler
  implements OnApplicationBootstrap, OnModuleDestroy, OnApplicationShutdown
{
  private readonly sweeping: PeriodicJob;
  private readonly queue: PortalQueue;
  private readonly runner: JobRunner;
  private unsubscribe: (() => void)[] = [];
  private stopped: Promise<unknown> | undefined;

  constructor(
    private readonly subscriptions: Subscriptions,
    private readonly bindings: EventBindings,
    private readonly attempts: BindingAttempts,
    private readonly clients: PortalClients,
    private readonly portalCache: PortalCache,
    private readonly languages: PortalLanguages,
    private readonly jobs: PortalJobs,
    dataSource: DataSource,
    private readonly lease: LeaderLease,
    @Inject(HANDLER_URL) private readonly handlerUrl: string,
    @Inject(LOG) private readonly log: Log,
  ) {
    this.queue = new PortalQueue({ run: (memberId, signal) => this.reconcile(memberId, signal) });
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
    this.sweeping = new PeriodicJob('event bindings', SWEEP_EVERY_MS, log, () => this.sweep());
  }

  onApplicationBootstrap(): void {
    this.unsubscribe = [
      this.subscriptions.onChange(() => this.sweeping.trigger()),
      this.lease.onChange((isLeader) => isLeader && this.sweeping.trigger()),
    ];
    this.runner.start();
    this.sweeping.start();
  }

  /** With thousands of portals this takes long; a process that is killed meanwhile can lose a token pair. */
  onModuleDestroy(): void {
    this.stopped = Promise.all([this.queue.stop(), this.runner.stop()]);
  }

  async onApplicationShutdown(): Promise<void> {
    for (const unsubscribe of this.unsubscribe) unsubscribe();
    await this.sweeping.stop();
    await this.stopped;
  }

  private async sweep(): Promise<void> {
    if (!this.lease.isLeader()) return;
    const wanted = await this.wanted();
    const due = new Set([
      ...(await this.bindings.missing(wanted, this.handlerUrl)).keys(),
      ...(await this.bindings.unwanted(wanted, this.handlerUrl)).keys(),
    ]);
    const memberIds = [...due];
    for (let from = 0; from < memberIds.length; from += PAGE_SIZE) {
      await this.jobs.requestAll(CONTROL_PLANE, memberIds.slice(from, from + PAGE_SIZE), BIND_JOB);
    }
    if (memberIds.length > 0) this.runner.wake();
  }

  private async wanted(): Promise<string[]> {
    return [...OWN_EVENTS, ...(await this.subscriptions.wanted())];
  }

  /** What fails is recorded as an attempt (`BindingAttempts`), which decides when a sweep finds the portal again. */
  private async run({ task, signal }: JobRun): Promise<Record<string, unknown>> {
    const { memberId, isInteractive } = task;
    await this.queue.push(memberId, { isFresh: isInteractive, signal });
    // Not done: another process takes it, or it starts anew.
    signal.throwIfAborted();
    if (isInteractive) await this.learnLanguage(memberId, signal);
    signal.throwIfAborted();
    return {};
  }

  /** An install may not contain it. */
  private async learnLanguage(memberId: string, signal: AbortSignal): Promise<void> {
    const portal = await this.portalCache.find(memberId, { fresh: true });
    if (portal && portal.language === null) await this.languages.learn(memberId, signal);
  }

  private async reconcile(memberId: string, signal: AbortSignal): Promise<void> {
    await this.bind(memberId, signal).catch((error: unknown) => {
      // The process that holds the claim binds them.
      if (error instanceof ClaimLostError) return;
      this.log.warn(
        { event: 'bindings.bind.failed', memberId, err: error },
        'events could not be bound, will be tried again',
      );
    });
    if (signal.aborted) return;
    await this.unbind(memberId, signal).catch((error: unknown) => {
      if (error instanceof ClaimLostError) return;
      this.log.warn(
        { event: 'bindings.unbind.failed', memberId, err: error },
        'events could not be unbound, will be tried again',
      );
    });
  }

  private async bind(memberId: string, signal: AbortSignal): Promise<void> {
    const { bindings, handlerUrl, log } = this;
    const isAsked = await this.attempts.attempt(memberId, 'bind', handlerUrl, async (claim) => {
      const client = this.clients.for(memberId);
      const round = new BindingRound({ bindings, handlerUrl, log, client, claim, signal });
      await round.bind(await this.missingAt(memberId));
    });
    // A sweep for newly recorded events skipped a portal whose binding was running.
    if (isAsked && (await this.missingAt(memberId)).length > 0) {
      await this.jobs.request(CONTROL_PLANE, memberId, BIND_JOB);
    }
  }

  private async missingAt(memberId: string): Promise<string[]> {
    const missing = await this.bindings.missing(await this.wanted(), this.handlerUrl, memberId);
    return missing.get(memberId) ?? [];
  }

  /** A stale handler costs the portal a call for every event, and us nothing: its failures block nothing. */
  private async unbind(memberId: string, signal: AbortSignal): Promise<void> {
    const { bindings, handlerUrl, log } = this;
    const unwanted = await bindings.unwanted(await this.wanted(), handlerUrl, memberId);
    const names = unwanted.get(memberId) ?? [];
    if (names.length === 0) return;
    await this.attempts.attempt(memberId, 'unbind', handlerUrl, async () => {
      await unbindStaleHandlers(
        { bindings, handlerUrl, log, client: this.clients.for(memberId), signal },
        names,
      );
    });
  }
}
