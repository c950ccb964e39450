import {
  gauge,
  type HealthResult,
  listServiceProcesses,
  type Log,
  PeriodicJob,
  type ServiceProcess,
} from '@relay/platform';
import type { ReportDatabase } from '@relay/platform';

const seen = gauge({
  name: 'relay_gateway_control_planes',
  help: 'Processes of the control plane that reported lately, as this gateway sees them.',
});

const CHECK_INTERVAL_MS = 5_000;
/** Services of one deployment start within seconds of each other. */
const GRACE_MS = 30_000;
const MISSING =
  'No control plane reports: nothing is bound at portals that are installed now, and pending installs, token keep-alive and the admin API stand still. Start apps/control-plane (docker compose up -d control-plane).';

/** Warns when no control plane runs: an operator may upgrade without starting the new service. */
export class ControlPlaneWatch {
  private readonly periodic: PeriodicJob;
  private processes: readonly ServiceProcess[] = [];
  private missingSince: number | undefined = performance.now();
  private isReported = false;

  constructor(
    private readonly database: ReportDatabase,
    private readonly log: Log,
  ) {
    this.periodic = new PeriodicJob('control plane watch', CHECK_INTERVAL_MS, log, () => this.check());
  }

  start(): void {
    this.periodic.start();
  }

  async stop(): Promise<void> {
    await this.periodic.stop();
  }

  health(): HealthResult {
    return this.isMissing() ? { healthy: 'degraded', reason: MISSING } : { healthy: true };
  }

  /** Of their ops ports, where the admin API is. */
  addresses(): string[] {
    return this.processes.map(({ address }) => address);
  }

  /** While the database does not answer, nothing is known of a control plane. */
  private async list(): Promise<ServiceProcess[]> {
    try {
      return await listServiceProcesses(this.database, 'control-plane');
    } catch (error) {
      this.missingSince = performance.now();
      throw error;
    }
  }

  private isMissing(): boolean {
    return this.missingSince !== undefined && performance.now() - this.missingSince > GRACE_MS;
  }

  private async check(): Promise<void> {
    this.processes = await this.list();
    seen.set(this.processes.length);
    if (this.processes.length > 0) {
      if (this.isReported) this.log.info({}, 'a control plane reports again');
      [this.missingSince, this.isReported] = [undefined, false];
      return;
    }
    this.missingSince ??= performance.now();
    if (!this.isMissing() || this.isReported) return;
    this.isReported = true;
    this.log.error({ event: 'control_plane.missing' }, MISSING);
  }
}
