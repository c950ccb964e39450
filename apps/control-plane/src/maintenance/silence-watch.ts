import {
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import { Bitrix24Error } from '@relay/bitrix24';
import { JobRunner, PortalJobs, type JobRun } from '@relay/jobs';
import { counter, LeaderLease, listServiceProcesses, LOG, type Log, PeriodicJob } from '@relay/platform';
import {
  EventDeliveryProbe,
  PortalClients,
  Reachability,
  type ReachabilityChange,
  type TestOutcome,
} from '@relay/portals';
import { DataSource } from 'typeorm';
import { z } from 'zod';

const tests = counter({
  name: 'relay_silence_tests_total',
  help: 'Test events of portals that were silent for unusually long, by outcome.',
  labelNames: ['outcome'],
});

/** Of the jobs that test silent portals: apart from others, since each may wait for its event. */
const SILENCE = 'control-plane-silence';
const TEST_JOB = 'test';

const CHECK_INTERVAL_MS = 15_000;
/** Each waits up to 15 s. After an outage in front of the gateway all portals of an installation are silent. */
const TEST_CONCURRENCY = 16;

/** Of a gateway that notes when portals are heard of; one of a version before does not. */
const notingGateway = z.object({ notesArrivals: z.literal(true) });

/**
 * Notices portals whose events do not reach us: the leader checks for unusual silence, and any process of the control plane asks
 * a silent portal for a test event.
 */
@Injectable()
export class SilenceWatch implements OnApplicationBootstrap, OnModuleDestroy, OnApplicationShutdown {
  private readonly checking: PeriodicJob;
  private readonly runner: JobRunner;
  private readonly probe: EventDeliveryProbe;
  private unsubscribe: (() => void) | undefined;
  private stopped: Promise<void> | undefined;

  constructor(
    private readonly reachability: Reachability,
    @Inject(PortalClients) clients: Pick<PortalClients, 'for'>,
    private readonly jobs: PortalJobs,
    private readonly dataSource: DataSource,
    @Inject(LeaderLease) private readonly lease: Pick<LeaderLease, 'isLeader' | 'onChange'>,
    @Inject(LOG) private readonly log: Log,
  ) {
    this.probe = new EventDeliveryProbe(dataSource, {
      for: (memberId) => clients.for(memberId, { priority: 'background' }),
    });
    this.checking = new PeriodicJob('silent portals', CHECK_INTERVAL_MS, log, () => this.check());
    this.runner = new JobRunner({
      dataSource,
      consumer: SILENCE,
      log,
      handlers: { [TEST_JOB]: (run) => this.test(run) },
      concurrency: TEST_CONCURRENCY,
    });
  }

  onApplicationBootstrap(): void {
    this.unsubscribe = this.lease.onChange((isLeader) => isLeader && this.checking.trigger());
    this.runner.start();
    this.checking.start();
  }

  onModuleDestroy(): void {
    this.stopped = this.runner.stop();
  }

  async onApplicationShutdown(): Promise<void> {
    this.unsubscribe?.();
    await this.checking.stop();
    await this.stopped;
  }

  /** Finds portals whose state has changed, and those to test. Does nothing unless this process is the leader. */
  async check(): Promise<void> {
    if (!this.lease.isLeader()) return;
    const notedSince = await this.notedSince();
    // What was missed before shows that it was not noted, not that it did not come.
    await this.reachability.forgetMissing(notedSince);
    if (!notedSince) return;
    const { toTest, changes } = await this.reachability.check();
    for (const change of changes) this.noteChange(change);
    await this.jobs.requestAll(SILENCE, toTest, TEST_JOB);
    if (toTest.length > 0) this.runner.wake();
  }

  /**
   * Since when gateways note what comes. Undefined while one of them does not, as in the middle of an upgrade, and without a gateway:
   * then nothing arrives, whatever portals do, which has an alarm of its own.
   */
  private async notedSince(): Promise<Date | undefined> {
    const gateways = await listServiceProcesses(this.dataSource, 'gateway');
    // The oldest first.
    return gateways.every(({ state }) => notingGateway.safeParse(state).success)
      ? gateways[0]?.startedAt
      : undefined;
  }

  private async test({ job: { memberId }, signal }: JobRun): Promise<Record<string, unknown>> {
    const outcome = await this.outcomeOf(memberId);
    signal.throwIfAborted();
    // A gateway that went away during the test, or came without noting it, is the reason why nothing was found.
    if (outcome === 'missed' && !(await this.notedSince())) return { outcome: 'gateway-away' };
    tests.inc({ outcome });
    const change = await this.reachability.saveTest(memberId, outcome);
    if (change) this.noteChange(change);
    return { outcome };
  }

  private async outcomeOf(memberId: string): Promise<TestOutcome> {
    try {
      return (await this.probe.probe(memberId)) === undefined ? 'missed' : 'arrived';
    } catch (err) {
      if (!(err instanceof Bitrix24Error)) throw err;
      this.log.info({ err, memberId }, 'a silent portal could not be asked for a test event');
      return 'untestable';
    }
  }

  private noteChange({ memberId, reason, isUnreachable }: ReachabilityChange): void {
    if (isUnreachable) {
      this.log.error(
        { event: 'portal.unreachable', memberId, reason },
        reason === 'test'
          ? 'a portal is unreachable: it was silent for unusually long, and its test events do not arrive'
          : 'a portal is unreachable: its offline queue keeps having events that should have come online',
      );
    } else {
      this.log.info({ memberId, reason }, 'what an unreachable portal posts arrives again');
    }
  }
}
