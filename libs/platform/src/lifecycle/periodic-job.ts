import type { Log } from '../telemetry/logger.js';

/** A failure is most likely an unavailable database, which may recover soon. */
const PAUSE_AFTER_FAILURE_MS = 5_000;

/** Runs one job periodically: at the start, when triggered, and after each pause. Never twice at once; errors are logged. */
export class PeriodicJob {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private isWoken = false;
  private isStopped = true;

  constructor(
    private readonly what: string,
    private readonly everyMs: number,
    private readonly log: Log,
    private readonly job: () => Promise<void>,
  ) {}

  start(): void {
    this.isStopped = false;
    this.trigger();
  }

  /** Runs the job now, or once more right after the current run. */
  trigger(): void {
    if (this.isStopped) return;
    this.isWoken = true;
    this.running ??= this.run();
  }

  /** Resolves when the current run has ended. */
  async stop(): Promise<void> {
    this.isStopped = true;
    clearTimeout(this.timer);
    await this.running;
  }

  private async run(): Promise<void> {
    clearTimeout(this.timer);
    let pauseMs = this.everyMs;
    while (this.isWoken && !this.isStopped) {
      this.isWoken = false;
      try {
        await this.job();
        pauseMs = this.everyMs;
      } catch (error) {
        pauseMs = Math.min(this.everyMs, PAUSE_AFTER_FAILURE_MS);
        this.log.warn(
          { event: 'periodic_job.failed', job: this.what, err: error },
          `${this.what}: failed, will be tried again`,
        );
      }
    }
    this.running = undefined;
    if (this.isStopped) return;
    this.timer = setTimeout(() => this.trigger(), pauseMs);
    this.timer.unref();
  }
}
