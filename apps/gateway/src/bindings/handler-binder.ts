import {
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import { MAX_BATCH_COMMANDS, type CommandOutcome, type PortalClient } from '@relay/bitrix24';
import { parseEventName } from '@relay/events';
import { counter, type Log } from '@relay/platform';
import { EventBindings, PortalClients, Subscriptions } from '@relay/portals';
import { Backoff } from './backoff.js';
import { Loop } from '../loop.js';
import { HANDLER_URL, LOG } from '../tokens.js';
import { boundAt, has, type Handler } from './handlers-at-portal.js';
import { unbindSurplus } from './surplus.js';

const bound = counter({
  name: 'relay_gateway_event_binds_total',
  help: 'Calls of event.bind, by outcome.',
  labelNames: ['outcome'],
});

/** The gateway's own: without them it would not learn that a portal left, or dropped our handlers. */
const ownEvents = ['ONAPPUNINSTALL', 'ONAPPUPDATE', 'ONAPPTEST'];
const sweepEveryMs = 60_000;
const portalsAtOnce = 4;

interface Portal {
  memberId: string;
  client: PortalClient;
  /** As they were before anything was bound or unbound. */
  handlers: Handler[];
}

/**
 * Sees to it that every installed portal sends the events that consumers recorded, to the address of `PUBLIC_URL`:
 * after an install, when a consumer records something new, when the address changed, and once a minute for what failed
 * before. Several gateways may do the same at once: a second event.bind of one handler is refused by Bitrix24 and
 * changes nothing.
 */
@Injectable()
export class HandlerBinder implements OnApplicationBootstrap, OnModuleDestroy, OnApplicationShutdown {
  private readonly loop: Loop;
  private readonly backoff = new Backoff();
  private readonly inHand = new Set<string>();
  /** Portals whose notes of what is bound are no longer true. */
  private readonly toForget = new Set<string>();
  private unsubscribe: () => void = () => undefined;
  private isStopped = false;

  constructor(
    private readonly subscriptions: Subscriptions,
    private readonly bindings: EventBindings,
    private readonly clients: PortalClients,
    @Inject(HANDLER_URL) private readonly handlerUrl: string,
    @Inject(LOG) private readonly log: Log,
  ) {
    this.loop = new Loop('event bindings', sweepEveryMs, log, () => this.sweep());
  }

  onApplicationBootstrap(): void {
    this.unsubscribe = this.subscriptions.onChange(() => this.loop.wake());
    this.loop.start();
  }

  /** A sweep of thousands of portals ends behind those in hand: killed for its length, a process can lose a token pair. */
  onModuleDestroy(): void {
    this.isStopped = true;
  }

  async onApplicationShutdown(): Promise<void> {
    this.unsubscribe();
    await this.loop.stop();
  }

  /** Right after an install: its failures of before say nothing about now, nor does what is being bound at this moment. */
  bindSoon(memberId: string): void {
    if (this.inHand.has(memberId)) this.toForget.add(memberId);
    this.backoff.clear(memberId);
    this.loop.wake();
  }

  /**
   * The portal has dropped our handlers (settings/app-installation/): all are bound again, also when the database is
   * away just now, for Bitrix24 does not say it twice.
   */
  async bindAnew(memberId: string): Promise<void> {
    this.toForget.add(memberId);
    this.bindSoon(memberId);
    await this.forgetNotes();
  }

  private async forgetNotes(): Promise<void> {
    for (const memberId of this.toForget) {
      await this.bindings.forget(memberId);
      this.toForget.delete(memberId);
    }
  }

  private async sweep(): Promise<void> {
    await this.forgetNotes();
    const wanted = [...ownEvents, ...(await this.subscriptions.wanted())];
    const missing = await this.bindings.missing(wanted, this.handlerUrl);
    const due = [...missing].filter(([memberId]) => this.backoff.isDue(memberId));
    const work = due.values();
    const worker = async (): Promise<void> => {
      for (const [memberId, names] of work) {
        if (this.isStopped) return;
        await this.bindPortal(memberId, names);
      }
    };
    await Promise.all(Array.from({ length: portalsAtOnce }, worker));
    // Only where all that is wanted is bound by now: nothing falls between the two.
    for (const [memberId, surplus] of await this.bindings.surplus()) {
      if (this.isStopped) return;
      if (!this.backoff.isDue(memberId)) continue;
      await unbindSurplus({ memberId, client: this.clients.for(memberId) }, surplus, this.bindings, this.log);
    }
  }

  private async bindPortal(memberId: string, names: string[]): Promise<void> {
    this.inHand.add(memberId);
    try {
      await this.bind(memberId, this.clients.for(memberId), names);
      this.backoff.clear(memberId);
    } catch (error) {
      // An install came meanwhile: it is bound at once, and this failure was the old one's.
      if (!this.toForget.has(memberId)) this.backoff.fail(memberId);
      this.log.warn({ memberId, err: error }, 'events could not be bound, will be tried again');
    } finally {
      this.inHand.delete(memberId);
    }
  }

  private async bind(memberId: string, client: PortalClient, names: string[]): Promise<void> {
    const portal = { memberId, client, handlers: await boundAt(client) };
    const missing = names.filter((name) => !has(portal.handlers, name, this.handlerUrl));
    await this.keep(
      portal,
      names.filter((name) => !missing.includes(name)),
    );
    const failures: unknown[] = [];
    for (let from = 0; from < missing.length; from += MAX_BATCH_COMMANDS) {
      const part = missing.slice(from, from + MAX_BATCH_COMMANDS);
      const outcomes = await client.batch(
        Object.fromEntries(part.map((name) => [name, this.bindCommand(name)])),
      );
      const boundNow = part.filter((name) => outcomes[name]?.ok);
      bound.inc({ outcome: 'bound' }, boundNow.length);
      await this.keep(portal, boundNow);
      for (const name of part.filter((each) => !boundNow.includes(each))) {
        await this.refused(portal, name, outcomes[name]).catch((error: unknown) => failures.push(error));
      }
    }
    // An event that this portal does not give us (for want of a scope, say) keeps none of the others back.
    if (failures.length > 0) throw failures[0];
    if (missing.length > 0) this.log.info({ memberId, events: missing }, 'events bound');
  }

  private bindCommand(name: string) {
    return { method: 'event.bind', params: { event: name, handler: this.handlerUrl } };
  }

  private async refused({ memberId, client }: Portal, name: string, outcome?: CommandOutcome): Promise<void> {
    if (outcome?.ok !== false) throw new Error(`no answer for ${name}`);
    if (outcome.error.code !== 'ERROR_EVENT_NOT_FOUND') throw outcome.error;
    bound.inc({ outcome: 'unknown-event' });
    await this.bindings.save(memberId, name, this.handlerUrl, 'unknown-event');
    const { name: basic } = parseEventName(name);
    if (basic === name) this.log.warn({ memberId, event: name }, 'this portal does not know the event');
    else await this.bind(memberId, client, [basic]);
  }

  /**
   * These are bound. What we bound under a former `PUBLIC_URL` is unbound before the new address is noted: after a
   * crash in between, the note still names the old one, and all is done again.
   */
  private async keep(portal: Portal, names: string[]): Promise<void> {
    if (names.length === 0) return;
    const saved = await this.bindings.of(portal.memberId);
    const former = names
      .map((event) => ({ event, handler: saved.get(event)?.handler ?? '' }))
      .filter(({ event, handler }) => handler !== this.handlerUrl && has(portal.handlers, event, handler));
    for (let from = 0; from < former.length; from += MAX_BATCH_COMMANDS) {
      await this.unbind(portal, former.slice(from, from + MAX_BATCH_COMMANDS));
    }
    for (const name of names) await this.bindings.save(portal.memberId, name, this.handlerUrl, 'bound');
  }

  /** A handler that stays costs the portal a call for each event, and us nothing: a failure holds nothing up. */
  private async unbind({ memberId, client }: Portal, former: Handler[]): Promise<void> {
    const what = { memberId, handlers: former };
    try {
      const outcomes = await client.batch(
        Object.fromEntries(former.map((params) => [params.event, { method: 'event.unbind', params }])),
      );
      for (const outcome of Object.values(outcomes)) if (!outcome.ok) throw outcome.error;
      this.log.info(what, 'handlers at a former address unbound');
    } catch (error) {
      this.log.warn({ ...what, err: error }, 'handlers at a former address could not be unbound');
    }
  }
}
