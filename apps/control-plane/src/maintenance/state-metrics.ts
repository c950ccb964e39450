import type { ConsumerStatus } from '@relay/bus';
import type { JobFreshness } from '@relay/jobs';
import { gauge, type LeaderLease, type Log, PeriodicJob } from '@relay/platform';
import { type DriftChecks, type PortalQuery, SHOWN_PORTAL_STATES } from '@relay/portals';

const COLLECT_EVERY_MS = 10_000;

const consumerEvents = gauge({
  name: 'relay_consumer_events',
  help: 'Events of a consumer on the bus, by state: waiting, in_hand, retrying, deferred, newer, dead',
  labelNames: ['consumer', 'state'],
});
const consumerOldest = gauge({
  name: 'relay_consumer_oldest_seconds',
  help: 'Age of the oldest event that waits or is in hand; 0 when there is none, or it is unknown',
  labelNames: ['consumer'],
});
const consumerProcesses = gauge({
  name: 'relay_consumer_processes',
  help: 'Processes of a consumer that have reported within 30 s',
  labelNames: ['consumer'],
});
const consumerMissing = gauge({
  name: 'relay_consumer_missing',
  help: '1 while events of a consumer wait and no process of it works',
  labelNames: ['consumer'],
});
const portalCount = gauge({ name: 'relay_portals', help: 'Portals by state', labelNames: ['state'] });
const drift = gauge({
  name: 'relay_subscription_drift_portals',
  help: 'Portals whose last comparison found handlers missing, or surplus ones of ours',
  labelNames: ['kind'],
});
// Labelled by kind only so that a process that does not lead exports none of them: a gauge without labels is never absent.
const mirrorLag = gauge({
  name: 'relay_mirror_lag_seconds',
  help: 'Of the installed portal whose mirror was compared longest ago: the time since a read or comparison of everything ended',
  labelNames: ['consumer'],
});
const mirrorFailed = gauge({
  name: 'relay_mirror_failed_portals',
  help: 'Installed portals whose last backfill or reconciliation failed',
  labelNames: ['consumer'],
});
const collectedAt = gauge({
  name: 'relay_state_collected_timestamp_seconds',
  help: 'When the leading control plane last counted these: consumers, portals, subscriptions, mirror',
  labelNames: ['part'],
});
const all = [
  consumerEvents,
  consumerOldest,
  consumerProcesses,
  consumerMissing,
  portalCount,
  drift,
  mirrorLag,
  mirrorFailed,
  collectedAt,
];

export interface StateMetricsOptions {
  lease: Pick<LeaderLease, 'isLeader' | 'onChange'>;
  consumers: { statuses(): Promise<readonly ConsumerStatus[]> };
  portals: Pick<PortalQuery, 'countByState'>;
  checks: Pick<DriftChecks, 'portalsWithDrift'>;
  /** The consumer whose jobs keep the mirror, and their kinds. */
  mirror: { consumer: string; kinds: readonly string[] };
  jobs: { freshness(consumer: string, kinds: readonly string[]): Promise<JobFreshness> };
  log: Log;
  everyMs?: number;
}

/**
 * Counts, every few seconds and in the leading control plane alone, what the whole installation shares: what waits on the
 * bus, the states of portals, the mirror. Scrapes read the last count, so they cost the same however often they come, and
 * several processes do not count anything twice. A part that cannot be counted keeps no old number: its gauges are gone
 * until it can be counted again.
 */
export class StateMetrics {
  private readonly periodic: PeriodicJob;
  private readonly unsubscribe: () => void;

  constructor(private readonly options: StateMetricsOptions) {
    const { lease, log, everyMs = COLLECT_EVERY_MS } = options;
    this.periodic = new PeriodicJob('state metrics', everyMs, log, () => this.collect());
    this.unsubscribe = lease.onChange(() => this.periodic.trigger());
  }

  start(): void {
    this.periodic.start();
  }

  async stop(): Promise<void> {
    this.unsubscribe();
    await this.periodic.stop();
    for (const each of all) each.reset();
  }

  private async collect(): Promise<void> {
    await Promise.all([
      this.count('consumers', [consumerEvents, consumerOldest, consumerProcesses, consumerMissing], () =>
        this.countConsumers(),
      ),
      this.count('portals', [portalCount], () => this.countPortals()),
      this.count('subscriptions', [drift], () => this.countDrift()),
      this.count('mirror', [mirrorLag, mirrorFailed], () => this.countMirror()),
    ]);
  }

  /** @param read resolves with what sets the gauges: a scrape sees the old numbers or the new ones, never a part of them */
  private async count(
    part: string,
    gauges: readonly { reset(): void }[],
    read: () => Promise<() => void>,
  ): Promise<void> {
    const { lease, log } = this.options;
    let set: (() => void) | undefined;
    if (lease.isLeader()) {
      try {
        set = await read();
      } catch (err) {
        // The connection that is down says so itself.
        log.debug({ part, err }, 'the state could not be counted');
      }
    }
    for (const each of gauges) each.reset();
    if (!set || !lease.isLeader()) {
      collectedAt.remove({ part });
      return;
    }
    set();
    collectedAt.set({ part }, Date.now() / 1_000);
  }

  private async countConsumers(): Promise<() => void> {
    const statuses = await this.options.consumers.statuses();
    return () => {
      for (const status of statuses) {
        const { consumer, waiting, inHand, retrying, deferred, newer, dead, oldestAt } = status;
        const counts = { waiting, in_hand: inHand, deferred, newer, dead };
        for (const [state, count] of Object.entries(counts)) consumerEvents.set({ consumer, state }, count);
        consumerEvents.set({ consumer, state: 'retrying' }, Math.max(0, retrying - deferred - newer));
        const oldestMs = oldestAt === null ? 0 : Math.max(0, Date.now() - oldestAt.getTime());
        consumerOldest.set({ consumer }, oldestMs / 1_000);
        consumerProcesses.set({ consumer }, status.processes.length);
        consumerMissing.set({ consumer }, status.missing ? 1 : 0);
      }
    };
  }

  private async countPortals(): Promise<() => void> {
    const counts = await this.options.portals.countByState();
    return () => {
      for (const state of SHOWN_PORTAL_STATES) portalCount.set({ state }, counts.get(state) ?? 0);
    };
  }

  private async countDrift(): Promise<() => void> {
    const found = await this.options.checks.portalsWithDrift();
    return () => {
      for (const [kind, portals] of Object.entries(found)) drift.set({ kind }, portals);
    };
  }

  private async countMirror(): Promise<() => void> {
    const { jobs, mirror } = this.options;
    const { consumer, kinds } = mirror;
    const { lagSeconds, failed } = await jobs.freshness(consumer, kinds);
    return () => {
      mirrorLag.set({ consumer }, lagSeconds);
      mirrorFailed.set({ consumer }, failed);
    };
  }
}
