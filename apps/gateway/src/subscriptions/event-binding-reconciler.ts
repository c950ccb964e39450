import {
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import type { Log } from '@relay/platform';
import { BindingAttempts, ClaimLostError, EventBindings, PortalClients, Subscriptions } from '@relay/portals';
import { PeriodicJob } from '../periodic-job.js';
import { HANDLER_URL, LOG } from '../tokens.js';
import { BindingRound } from './binding-round.js';
import { PortalQueue } from './portal-queue.js';
import { unbindStaleHandlers } from './stale-handlers.js';

/** The gateway's own events: without them it would not notice that a portal uninstalled, or dropped our handlers. */
const OWN_EVENTS = ['ONAPPUNINSTALL', 'ONAPPUPDATE', 'ONAPPTEST'];
const SWEEP_EVERY_MS = 60_000;

/**
 * Makes every installed portal send the events that consumers recorded to the address of `PUBLIC_URL`: after an
 * install, when a consumer records a new event, when the address changed, and once a minute for portals that are due
 * again. Only one of several gateways binds at a portal (`BindingAttempts`).
 */
@Injectable()
export class EventBindingReconciler
  implements OnApplicationBootstrap, OnModuleDestroy, OnApplicationShutdown
{
  private readonly loop: PeriodicJob;
  private readonly queue: PortalQueue;
  /** Portals whose recorded bindings are outdated. */
  private readonly toForget = new Set<string>();
  private unsubscribe: () => void = () => undefined;
  private stopped: Promise<void> | undefined;

  constructor(
    private readonly subscriptions: Subscriptions,
    private readonly bindings: EventBindings,
    private readonly attempts: BindingAttempts,
    private readonly clients: PortalClients,
    @Inject(HANDLER_URL) private readonly handlerUrl: string,
    @Inject(LOG) private readonly log: Log,
  ) {
    this.queue = new PortalQueue({ run: (memberId, signal) => this.lookAfter(memberId, signal) });
    this.loop = new PeriodicJob('event bindings', SWEEP_EVERY_MS, log, () => this.sweep());
  }

  onApplicationBootstrap(): void {
    this.unsubscribe = this.subscriptions.onChange(() => this.loop.trigger());
    this.loop.start();
  }

  /** With thousands of portals this takes long; a process that is killed meanwhile can lose a token pair. */
  onModuleDestroy(): void {
    this.stopped = this.queue.stop();
  }

  async onApplicationShutdown(): Promise<void> {
    this.unsubscribe();
    await this.loop.stop();
    await this.stopped;
  }

  /** Called right after an install, which has deleted the records of failed attempts. */
  enqueue(memberId: string): void {
    this.queue.pushFresh(memberId);
  }

  /**
   * The portal may have dropped our handlers (settings/app-installation/): the existing ones are read, and the others
   * bound again, also while the database is down, since Bitrix24 does not repeat this event.
   */
  async rebind(memberId: string): Promise<void> {
    this.toForget.add(memberId);
    try {
      await this.forgetNotes();
    } catch (error) {
      this.loop.trigger();
      throw error;
    }
  }

  private async forgetNotes(): Promise<void> {
    for (const memberId of this.toForget) {
      await this.bindings.forget(memberId);
      this.toForget.delete(memberId);
      this.enqueue(memberId);
    }
  }

  private async sweep(): Promise<void> {
    await this.forgetNotes();
    const wanted = await this.wanted();
    for (const [memberId] of await this.bindings.missing(wanted, this.handlerUrl)) this.queue.push(memberId);
    for (const [memberId] of await this.bindings.unwanted(wanted, this.handlerUrl)) this.queue.push(memberId);
  }

  private async wanted(): Promise<string[]> {
    return [...OWN_EVENTS, ...(await this.subscriptions.wanted())];
  }

  private async lookAfter(memberId: string, signal: AbortSignal): Promise<void> {
    await this.bind(memberId, signal).catch((error: unknown) => {
      this.warn(memberId, error, 'events could not be bound, will be tried again');
    });
    if (signal.aborted) return;
    await this.unbind(memberId, signal).catch((error: unknown) => {
      this.warn(memberId, error, 'events could not be unbound, will be tried again');
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
    if (isAsked && (await this.missingAt(memberId)).length > 0) this.queue.push(memberId);
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

  private warn(memberId: string, error: unknown, message: string): void {
    // The gateway that took the claim binds them.
    if (error instanceof ClaimLostError) return;
    this.log.warn({ memberId, err: error }, message);
  }
}
