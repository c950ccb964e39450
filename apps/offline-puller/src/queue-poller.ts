import { Inject, Injectable } from '@nestjs/common';
import { Bitrix24Error, readOfflineAccess } from '@relay/bitrix24';
import { CONSUMER_LOG, EVENT_PUBLISHER, type EventPublisher } from '@relay/consumer';
import { counter, type Log } from '@relay/platform';
import { EventArrivals, EventGaps, OfflineBindings, PortalClients } from '@relay/portals';
import { DeletingReader } from './deleting-reader.js';
import { type Part, PullSession, type SessionParts } from './pull-session.js';
import { ReservingReader } from './reserving-reader.js';
import { nextPollInMs } from './schedule.js';
import { PollStateStore } from './poll-state-store.js';

const polls = counter({
  name: 'relay_offline_visits_total',
  help: 'Polls of the offline queues of portals, by outcome.',
  labelNames: ['outcome'],
});

for (const outcome of ['records', 'empty', 'failed']) polls.inc({ outcome }, 0);

/** A portal has answered by then, or will never execute the request (a request takes up to a minute in the cloud). */
const DELETES_WITHIN_MS = 5 * 60_000;
/** As if so many polls had found nothing: a queue that cannot be emptied is read no more often than an idle one. */
const STUCK_EMPTY_POLLS = 10;

/**
 * Brings the offline queue of one portal onto the bus. What was read is cleared, or forgotten, only after the bus has
 * confirmed it; a process that ends in between leaves rows (`PollStateStore`) from which the next one goes on. Events may
 * therefore come twice, and none is missing: see docs/delivery.md for the one window of basic plans.
 */
@Injectable()
export class QueuePoller {
  constructor(
    @Inject(PortalClients) private readonly clients: Pick<PortalClients, 'for'>,
    private readonly bindings: OfflineBindings,
    private readonly store: PollStateStore,
    @Inject(EVENT_PUBLISHER) private readonly publisher: EventPublisher,
    private readonly arrivals: EventArrivals,
    private readonly gaps: EventGaps,
    @Inject(CONSUMER_LOG) private readonly log: Log,
  ) {}

  /**
   * @returns how many records were read
   * @throws Bitrix24Error, BusUnavailableError, the signal's reason: the poll is to be repeated
   */
  async poll(memberId: string, signal: AbortSignal): Promise<number> {
    const state = await this.store.state(memberId);
    if (!state) return 0;
    const client = this.clients.for(memberId, { priority: 'background' });
    const poll = new Poll({ client, state, signal, ...this.parts() }, this.bindings);
    try {
      if (state.destructiveReadSince) await this.noteLostAnswer(memberId, state.destructiveReadSince);
      const { count, isMore, isStuck, lastRead, changedAtMs } = await poll.run();
      await this.gaps.endWrongLicense(memberId);
      await this.arrivals.noteRecords(memberId, changedAtMs);
      if (state.mode === 'online' && count === 0 && !state.isBound) {
        await this.store.forget(memberId);
        return 0;
      }
      polls.inc({ outcome: count > 0 ? 'records' : 'empty' });
      const emptyPolls = isStuck ? STUCK_EMPTY_POLLS : count > 0 ? 0 : state.emptyPolls + 1;
      const nextInMs = isMore ? 'now' : nextPollInMs(state.mode, emptyPolls, state.isSignalled);
      await this.store.endPoll(memberId, { records: count, nextInMs, emptyPolls, lastRead });
      return count;
    } catch (error) {
      polls.inc({ outcome: 'failed' });
      if (error instanceof Bitrix24Error && error.code === 'WRONG_LICENSE') {
        await this.gaps.begin(memberId, 'WRONG_LICENSE', state.polledAt ?? undefined);
      }
      if (!(await this.isAccessLost(memberId, error))) throw error;
      return 0;
    }
  }

  /**
   * A basic plan: the process ended, or the answer was lost, after a request that deletes. What it deleted was stored before;
   * but a portal that executes it late deletes what has changed meanwhile, too.
   */
  private async noteLostAnswer(memberId: string, since: Date): Promise<void> {
    await this.gaps.recordLostAnswer(memberId, since, DELETES_WITHIN_MS);
    await this.store.endDestructiveRead(memberId);
  }

  /** Another user's pair was stored, or the user is no administrator any more. */
  private async isAccessLost(memberId: string, error: unknown): Promise<boolean> {
    if (!(error instanceof Bitrix24Error) || error.code !== 'ACCESS_DENIED') return false;
    // REST as a whole is rejected, to everybody.
    if (error.errorClass === 'plan') return false;
    await this.bindings.saveAccess(memberId, {
      isAdministrator: false,
      canReserve: false,
      hasConnector: false,
    });
    this.log.warn(
      { event: 'offline.administrator.missing', memberId },
      'the offline queue needs the token pair of an administrator: one must open the application in the portal',
    );
    return true;
  }

  private parts() {
    const { store, publisher, log } = this;
    return { store, publisher, log };
  }
}

/** One poll of one portal: finds out which plan it has, and reads its queues as that allows. */
class Poll {
  private readonly memberId: string;
  private readonly session: PullSession;
  private readonly reserving: ReservingReader;
  private readonly deleting: DeletingReader;
  private canReserve: boolean;
  private hasConnector: boolean;

  constructor(
    private readonly parts: SessionParts,
    private readonly bindings: OfflineBindings,
  ) {
    this.memberId = parts.client.memberId;
    this.canReserve = parts.state.canReserve;
    this.hasConnector = parts.state.hasConnector;
    this.session = new PullSession(parts);
    this.reserving = new ReservingReader(this.session);
    this.deleting = new DeletingReader(this.session);
  }

  async run() {
    const { state, store } = this.parts;
    await this.deleting.publishStored();
    if (state.isAccessOld) await this.askAccess();
    if (state.hasUnknownBatches || state.isRecoveryScanDue)
      await this.reserving.searchBatches(this.connectors());
    let isMore = false;
    for (const connector of this.connectors()) {
      this.session.connector = connector;
      if (state.isRecoveryScanDue) await this.readQueue({ isMarked: true });
      isMore ||= await this.readQueue({ isMarked: false });
    }
    if (state.isRecoveryScanDue) await store.endRecoveryScan(this.memberId);
    if (!isMore && state.lastConnector !== state.connector) {
      await store.saveConnector(this.memberId, state.connector);
    }
    const lastRead = this.session.hashRead();
    if (lastRead !== null && lastRead === state.lastRead) this.session.noteStuck();
    const { count, isStuck, changedAtMs } = this.session;
    return { count, isMore: isMore && !isStuck, isStuck, lastRead, changedAtMs };
  }

  /** What is left in the former queue first; one whose connector the plan does not allow is out of reach. */
  private connectors(): string[] {
    const { connector, lastConnector } = this.parts.state;
    return [...new Set([lastConnector, connector])].filter((one) => one === '' || this.hasConnector);
  }

  private async readQueue(part: Part): Promise<boolean> {
    const { store } = this.parts;
    const { connector } = this.session;
    try {
      if (!this.canReserve) return await this.deleting.read(part);
      return await this.reserving.read(part);
    } catch (error) {
      if (!(error instanceof Bitrix24Error) || error.code !== 'WRONG_LICENSE') throw error;
      // Nothing was reserved.
      await store.endReserving(this.memberId, connector, undefined);
      if (connector === '' && this.canReserve) {
        await this.bindings.saveAccess(this.memberId, {
          isAdministrator: true,
          canReserve: false,
          hasConnector: this.hasConnector,
        });
        this.noteBasicPlan();
        return await this.deleting.read(part);
      }
      if (connector === '') throw error;
      await this.askAccess();
      // Its handlers are bound without one soon.
      if (!this.hasConnector) return false;
      if (this.canReserve) throw error;
      return await this.deleting.read(part);
    }
  }

  private async askAccess(): Promise<void> {
    const { client, signal, log } = this.parts;
    const access = await readOfflineAccess(client, { signal });
    if (!access.isAdministrator) throw new Bitrix24Error('ACCESS_DENIED', { memberId: this.memberId });
    await this.bindings.saveAccess(this.memberId, access);
    const { canReserve, hasConnector } = access;
    if (this.canReserve && !canReserve) this.noteBasicPlan();
    if (this.hasConnector && !hasConnector) {
      log.warn(
        { event: 'offline.connector.lost', memberId: this.memberId },
        'the plan of the portal does not allow auth_connector any more: what we write comes back in the offline queue',
      );
    }
    if ((!this.canReserve && canReserve) || (!this.hasConnector && hasConnector)) {
      log.info({ memberId: this.memberId, canReserve, hasConnector }, 'the plan of the portal has changed');
    }
    this.canReserve = canReserve;
    this.hasConnector = hasConnector;
  }

  /** Batches of before stay for the day when records can be reserved again. */
  private noteBasicPlan(): void {
    this.canReserve = false;
    this.parts.log.warn(
      { event: 'offline.plan.basic', memberId: this.memberId },
      'the plan of the portal does not reserve records any more: they are stored, and then taken',
    );
  }
}
